//! Files from the web: streamed to disk, taken up again where they were cut, verified before anybody uses them.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::sync::watch;

use super::https;
use crate::limits;
use crate::secret::Secret;

/// What is to be fetched.
#[derive(Debug, Clone)]
pub struct Download {
    /// Where from: `http` or `https`; it may hold credentials.
    pub url: Secret<String>,
    /// What it must be: SHA-256 in hexadecimal.
    pub sha256: String,
    /// The file that is written; what it held before is lost.
    pub to: PathBuf,
    /// Most bytes that are taken.
    pub most: u64,
    /// Bytes that there is room for, if that is known.
    pub room: Option<u64>,
}

/// How far something large is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transfer {
    /// Bytes that came.
    pub done: u64,
    /// Bytes that there are, as far as that is known.
    pub total: Option<u64>,
}

/// Why it was not fetched. Nothing of it holds credentials.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The address is none that is fetched from.
    #[error("its url is none of http or https")]
    Url,
    /// The server is not to be trusted with it: another attempt changes nothing.
    #[error("it is not fetched from there: {reason}")]
    Refused {
        /// Why: its certificate, or a redirect.
        reason: String,
    },
    /// The server answered with an error.
    #[error("the server answered {0}")]
    Status(u16),
    /// The server could not be reached, or the line was cut again and again.
    #[error("it was cut after {after} bytes: {reason}")]
    Cut {
        /// How many bytes had come.
        after: u64,
        /// The last reason.
        reason: String,
    },
    /// It is larger than it may be.
    #[error("it has more than {most} bytes")]
    TooLarge {
        /// What it may have.
        most: u64,
    },
    /// There is less room for it than it has bytes.
    #[error("{} has room for {free} bytes, and it has {needed}", path.display())]
    NoRoom {
        /// Where it was to be written.
        path: PathBuf,
        /// Bytes that it may take there.
        free: u64,
        /// Bytes that it has, or that came at least.
        needed: u64,
    },
    /// It is not what was wanted.
    #[error("its SHA-256 is {got}, wanted is {wanted}")]
    Checksum {
        /// What was wanted.
        wanted: String,
        /// What it is.
        got: String,
    },
    /// It could not be written.
    #[error("it could not be written to disk")]
    File(#[from] std::io::Error),
}

/// A client for downloads.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    let redirects = Policy::custom(|attempt| {
        let from_tls = attempt.previous().iter().any(|url| url.scheme() == "https");
        if from_tls && attempt.url().scheme() != "https" {
            return attempt.error("a redirect leads away from https");
        }
        match attempt.previous().len() {
            ..=limits::REDIRECTS => attempt.follow(),
            _ => attempt.error("too many redirects"),
        }
    });
    let stall = limits::DOWNLOAD_STALL;
    https::client().redirect(redirects).connect_timeout(stall).read_timeout(stall).build()
}

/// Fetches; tells how far it is.
pub(super) async fn fetch(
    client: &Client,
    download: &Download,
    progress: &watch::Sender<Transfer>,
) -> Result<(), DownloadError> {
    let url = download.url.expose();
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(DownloadError::Url);
    }
    let file = File::create(&download.to).await?;
    let mut taken = Taken { file, digest: Sha256::new(), at: 0 };
    let mut attempts = 0;
    loop {
        let before = taken.at;
        let reason = match go_on(client, download, (&mut taken, progress)).await {
            Ok(()) => return taken.verify(download).await,
            Err(Stop::Final(error)) => return Err(error),
            Err(Stop::Cut(reason)) => reason,
        };
        attempts = if taken.at > before { 1 } else { attempts + 1 };
        if attempts >= limits::DOWNLOAD_ATTEMPTS {
            return Err(DownloadError::Cut { after: taken.at, reason });
        }
        tracing::info!(bytes = taken.at, error = reason, "a download was cut and is taken up again");
        tokio::time::sleep(limits::DOWNLOAD_PAUSE * attempts).await;
    }
}

/// Why an attempt ended.
enum Stop {
    Final(DownloadError),
    /// Another may do better.
    Cut(String),
}

impl<E: Into<DownloadError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Final(error.into())
    }
}

/// What has come so far.
struct Taken {
    file: File,
    digest: Sha256,
    at: u64,
}

impl Taken {
    async fn begin_anew(&mut self) -> Result<(), DownloadError> {
        self.file.set_len(0).await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        self.digest = Sha256::new();
        self.at = 0;
        Ok(())
    }

    async fn verify(mut self, download: &Download) -> Result<(), DownloadError> {
        self.file.flush().await?;
        let got = hexadecimal(&self.digest.finalize());
        if got.eq_ignore_ascii_case(&download.sha256) {
            return Ok(());
        }
        Err(DownloadError::Checksum { wanted: download.sha256.to_ascii_lowercase(), got })
    }
}

/// Bytes in hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// One request, from where the last one ended.
async fn go_on(
    client: &Client,
    download: &Download,
    (taken, progress): (&mut Taken, &watch::Sender<Transfer>),
) -> Result<(), Stop> {
    let mut request = client.get(download.url.expose());
    if taken.at > 0 {
        request = request.header(RANGE, format!("bytes={}-", taken.at));
    }
    let mut answer = request.send().await.map_err(|error| cut(&error))?;
    match answer.status() {
        StatusCode::PARTIAL_CONTENT if continues(&answer, taken.at) => {}
        // It has nothing beyond, or gives no parts: from the beginning.
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
            taken.begin_anew().await?;
            return Err(Stop::Cut("the server gave another part than was asked for".to_owned()));
        }
        status if status.is_success() => taken.begin_anew().await?,
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Stop::Cut(format!("the server answered {}", status.as_u16())));
        }
        status => return Err(DownloadError::Status(status.as_u16()).into()),
    }
    let total = answer.content_length().map(|length| taken.at.saturating_add(length));
    fits(download, total.unwrap_or(0))?;
    while let Some(piece) = answer.chunk().await.map_err(|error| cut(&error))? {
        let at = taken.at + piece.len() as u64;
        fits(download, at)?;
        taken.file.write_all(&piece).await.map_err(DownloadError::File)?;
        taken.digest.update(&piece);
        taken.at = at;
        progress.send_replace(Transfer { done: at, total });
    }
    Ok(())
}

/// Whether so many bytes may be taken.
fn fits(download: &Download, bytes: u64) -> Result<(), DownloadError> {
    if bytes > download.most {
        return Err(DownloadError::TooLarge { most: download.most });
    }
    match download.room {
        Some(free) if bytes > free => Err(DownloadError::NoRoom { path: download.to.clone(), free, needed: bytes }),
        Some(_) | None => Ok(()),
    }
}

/// Whether a part begins where it was asked to.
fn continues(answer: &Response, at: u64) -> bool {
    let range = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    range.strip_prefix("bytes ").and_then(|range| range.split('-').next()?.parse().ok()) == Some(at)
}

/// The innermost cause, which names no url.
fn cut(error: &reqwest::Error) -> Stop {
    if error.is_timeout() {
        return Stop::Cut(format!("nothing came for {} s", Duration::as_secs(&limits::DOWNLOAD_STALL)));
    }
    let mut cause: &dyn std::error::Error = error;
    let mut refused = error.is_redirect();
    loop {
        refused |= matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)));
        // An error of the system's kind does not count what it carries among its sources.
        let carried = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match carried.map(|error| error as &dyn std::error::Error).or_else(|| cause.source()) {
            Some(source) => cause = source,
            None => break,
        }
    }
    let reason = cause.to_string();
    if refused { DownloadError::Refused { reason }.into() } else { Stop::Cut(reason) }
}
