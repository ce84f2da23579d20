//! Probes of applications, and which ports are free.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HOST, LOCATION};
use reqwest::redirect::Policy;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::download::{self, Download, DownloadError, Transfer};
use super::https;
use super::sockets;
use super::world::{Connection, HttpAnswer, Network, Probe, ProbeAnswer};
use crate::limits;

/// This machine's network.
#[derive(Debug, Clone)]
pub struct SystemNetwork {
    client: reqwest::Client,
    downloads: reqwest::Client,
}

impl SystemNetwork {
    /// A network with a client of its own for probes.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn new() -> Result<Self, reqwest::Error> {
        // An answer counts as it is given: redirects are answers, proxies would answer in the application's place, and a
        // kept connection would hide that the application takes no new ones.
        let client = https::client().redirect(Policy::none()).no_proxy().pool_max_idle_per_host(0).build()?;
        Ok(Self { client, downloads: download::client()? })
    }

    async fn get(&self, url: &str, host: Option<&str>, limit: Duration) -> ProbeAnswer {
        let mut request = self.client.get(url).timeout(limit);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        match request.send().await {
            Ok(answer) => ProbeAnswer::Http(looked_at(answer).await),
            Err(e) => ProbeAnswer::Failed(words(&e)),
        }
    }
}

/// What of an answer is told.
async fn looked_at(mut answer: reqwest::Response) -> HttpAnswer {
    let status = answer.status();
    let location = answer.headers().get(LOCATION).filter(|_| status.is_redirection());
    let location = location.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
    let mut head = String::new();
    // It says why where the status is not the one that is wanted; it may never come.
    if !status.is_redirection()
        && let Ok(Ok(Some(body))) = timeout(limits::PROBE_BODY, answer.chunk()).await
    {
        let bytes = body.get(..limits::PROBE_BODY_BYTES).unwrap_or(&body);
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = String::from_utf8_lossy(bytes).chars().map(printable).collect();
        text.trim().clone_into(&mut head);
    }
    HttpAnswer { status: status.as_u16(), location, head }
}

/// The innermost cause of a failed request: the one that an operator can do something about.
fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[async_trait]
impl Network for SystemNetwork {
    async fn probe(&self, probe: &Probe) -> ProbeAnswer {
        match probe {
            Probe::Http { url, host, timeout } => self.get(url, host.as_deref(), *timeout).await,
            Probe::Tcp { host, port, timeout: limit } => {
                match timeout(*limit, TcpStream::connect((host.as_str(), *port))).await {
                    Ok(Ok(_)) => ProbeAnswer::Connected,
                    Ok(Err(e)) => ProbeAnswer::Failed(e.to_string()),
                    Err(_) => ProbeAnswer::Failed("no connection in time".to_owned()),
                }
            }
        }
    }

    fn port_is_free(&self, port: u16) -> bool {
        let addresses: [IpAddr; 3] =
            [Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into()];
        addresses.iter().all(|address| can_bind(SocketAddr::new(*address, port)))
    }

    async fn connections(&self, ports: &[u16]) -> std::io::Result<Vec<Connection>> {
        let ports = ports.to_vec();
        tokio::task::spawn_blocking(move || sockets::connections(&ports))
            .await
            .unwrap_or_else(|e| Err(std::io::Error::other(e)))
    }

    async fn download(&self, download: &Download, progress: watch::Sender<Transfer>) -> Result<(), DownloadError> {
        download::fetch(&self.downloads, download, &progress).await
    }

    async fn owners(&self, connections: &[Connection]) -> Vec<String> {
        let inodes: Vec<u64> = connections.iter().map(|connection| connection.inode).collect();
        tokio::task::spawn_blocking(move || sockets::owners(&inodes)).await.unwrap_or_default()
    }
}

/// Whether the port can be bound at an address. With `SO_REUSEADDR` connections of yesterday do not count, listeners do.
/// An address family that this machine lacks has no listeners.
fn can_bind(address: SocketAddr) -> bool {
    let Ok(socket) = Socket::new(Domain::for_address(address), Type::STREAM, None) else { return true };
    let set = socket.set_reuse_address(true).and_then(|()| match address {
        SocketAddr::V6(_) => socket.set_only_v6(true),
        SocketAddr::V4(_) => Ok(()),
    });
    match set.and_then(|()| socket.bind(&address.into())) {
        Ok(()) => true,
        Err(e) => e.kind() == std::io::ErrorKind::AddrNotAvailable,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn network() -> SystemNetwork {
        crate::host::install_crypto();
        SystemNetwork::new().unwrap()
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free_whatever_the_address() {
        let network = network();
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "127.0.0.9:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let port = listener.local_addr().unwrap().port();
            assert!(!network.port_is_free(port), "{address}");
            drop(listener);
            assert!(network.port_is_free(port), "{address}");
        }
    }

    #[tokio::test]
    async fn an_answer_of_any_status_is_an_answer_and_redirects_are_not_followed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        };
        let probe = Probe::Http { url, host: Some("a.b".into()), timeout: Duration::from_secs(5) };
        let network = network();
        let (answer, ()) = tokio::join!(network.probe(&probe), serving);
        let location = Some("http://127.0.0.1:1/".to_owned());
        assert_eq!(answer, ProbeAnswer::Http(HttpAnswer { status: 302, location, head: String::new() }));
    }

    async fn head_of(body: &'static [u8]) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            // More is announced than ever comes.
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
            stream.write_all(body).await.unwrap();
            stream
        };
        let probe = Probe::Http { url, host: None, timeout: Duration::from_secs(5) };
        let network = network();
        let (answer, _open) = tokio::join!(network.probe(&probe), serving);
        let ProbeAnswer::Http(answer) = answer else { panic!("{answer:?}") };
        answer.head
    }

    #[tokio::test]
    async fn the_first_bytes_of_a_body_are_told_as_far_as_they_can_be_printed() {
        assert_eq!(head_of(b"no\x1b[31m database\r\n").await, "no [31m database");
        let long = head_of(&[b'a'; 5000]).await;
        assert_eq!(long.len(), limits::PROBE_BODY_BYTES);
        assert_eq!(head_of(b"").await, "");
    }

    #[tokio::test]
    async fn no_answer_is_told_with_its_cause() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}/");
        let answer = network().probe(&Probe::Http { url, host: None, timeout: Duration::from_secs(5) }).await;
        let ProbeAnswer::Failed(why) = answer else { panic!("nobody listens") };
        assert!(why.contains("Connection refused"), "{why}");
    }
}
