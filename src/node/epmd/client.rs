//! Asking an EPMD.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{HIDDEN, MESSAGE_BYTES, VERSION, tag};
use crate::limits;
use crate::node::listen::is_no_address;

/// A registration: it holds as long as the connection.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) stream: TcpStream,
    pub(super) creation: u32,
}

/// Why a name could not be registered.
#[derive(Debug, thiserror::Error)]
pub(super) enum RegisterError {
    #[error("the name is taken")]
    Taken,
    #[error("EPMD does not answer")]
    Io(#[from] io::Error),
}

impl RegisterError {
    /// Nobody listens on the port.
    pub(super) fn is_nobody(&self) -> bool {
        matches!(self, Self::Io(e) if e.kind() == io::ErrorKind::ConnectionRefused)
    }

    fn is_no_address(&self) -> bool {
        matches!(self, Self::Io(e) if is_no_address(e))
    }
}

/// Registers `alive` with its distribution port at this machine's EPMD, which may listen on one family alone.
pub(super) async fn register(epmd_port: u16, alive: &str, port: u16) -> Result<Registration, RegisterError> {
    match register_at((Ipv4Addr::LOCALHOST, epmd_port).into(), alive, port).await {
        Err(refused) if refused.is_nobody() => {
            let other = register_at((Ipv6Addr::LOCALHOST, epmd_port).into(), alive, port).await;
            // A machine without IPv6 has nobody there either.
            other.map_err(|e| if e.is_no_address() { refused } else { e })
        }
        asked => asked,
    }
}

async fn register_at(epmd: SocketAddr, alive: &str, port: u16) -> Result<Registration, RegisterError> {
    let asked = timeout(limits::EPMD_REQUEST, async {
        let mut stream = TcpStream::connect(epmd).await?;
        stream.write_all(&alive_request(alive, port)).await?;
        let creation = creation_of(&mut stream).await?;
        Ok(Registration { stream, creation })
    });
    asked.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// The creation in the answer to a registration.
pub(super) async fn creation_of(stream: &mut (impl AsyncRead + Unpin)) -> Result<u32, RegisterError> {
    let kind = stream.read_u8().await?;
    let result = stream.read_u8().await?;
    let creation = match kind {
        tag::ALIVE_ANSWER => stream.read_u32().await?,
        tag::ALIVE_ANSWER_OLD => u32::from(stream.read_u16().await?),
        other => return Err(io::Error::other(format!("EPMD gave an answer of kind {other}")).into()),
    };
    if result == 0 { Ok(creation) } else { Err(RegisterError::Taken) }
}

fn alive_request(alive: &str, port: u16) -> Vec<u8> {
    let mut body = vec![tag::ALIVE];
    body.extend(port.to_be_bytes());
    body.extend([HIDDEN, 0]);
    body.extend(VERSION.to_be_bytes());
    body.extend(VERSION.to_be_bytes());
    put_text(&mut body, alive.as_bytes());
    put_text(&mut body, &[]);
    framed(&body)
}

/// The distribution port of `alive` at an address's EPMD; `None` if it has no such node.
///
/// # Errors
/// Nobody answers there, or somebody else than an EPMD.
pub async fn lookup(epmd: SocketAddr, alive: &str) -> io::Result<Option<u16>> {
    let asked = timeout(limits::EPMD_REQUEST, async {
        let mut stream = TcpStream::connect(epmd).await?;
        let mut body = vec![tag::PORT];
        body.extend_from_slice(alive.as_bytes());
        stream.write_all(&framed(&body)).await?;
        let mut answer = Vec::new();
        stream.take(MESSAGE_BYTES as u64).read_to_end(&mut answer).await?;
        port_of(&answer)
    });
    asked.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The port in the answer to a lookup.
pub(super) fn port_of(answer: &[u8]) -> io::Result<Option<u16>> {
    match answer {
        [tag::PORT_ANSWER, 0, high, low, ..] => Ok(Some(u16::from_be_bytes([*high, *low]))),
        [tag::PORT_ANSWER, ..] => Ok(None),
        _ => Err(io::Error::other("EPMD gave an answer that is not understood")),
    }
}

/// A text behind its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    // Texts have `TEXT_BYTES` at most.
    out.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(text);
}

/// A request behind its length.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = u16::try_from(body.len()).unwrap_or(0).to_be_bytes().to_vec();
    out.extend_from_slice(body);
    out
}
