//! The handshake, version 6 (erts, "Distribution handshake"): two nodes show that they know the same cookie without
//! sending it.
//!
//! ```text
//! dialer  N name, flags ------------> acceptor
//!         <------------ s status
//!         <------------ N challenge, flags, name
//!         r challenge, digest ------>           digest = MD5(cookie + the other's challenge)
//!         <------------ a digest
//! ```

mod accept;
mod dial;
mod message;
#[cfg(any(test, fuzzing))]
pub(super) mod properties;

pub(super) use accept::accept;
pub(super) use dial::dial;

use std::io;

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::limits;
use crate::secret::Secret;
use crate::term::Atom;

/// What the handshake needs to know of this node.
#[derive(Debug, Clone)]
pub(super) struct Local {
    pub(super) name: Atom,
    pub(super) cookie: Secret<String>,
    pub(super) creation: u32,
    pub(super) head: Head,
}

/// Bytes of the length before each message: two, and four over TLS (ssl, `inet_tls_dist`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Two,
    Four,
}

/// The node at the other end, its cookie checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) name: Atom,
    pub(super) flags: u64,
    pub(super) creation: u32,
}

/// How an acceptor answers a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on; an older link to the same name is replaced when the cookie was checked.
    Proceed,
    /// This node dials the peer at the same time, and the peer's attempt wins.
    ProceedSimultaneous,
    /// This node dials the peer at the same time, and its own attempt wins.
    Decline,
    /// This node has as many links as it takes.
    Full,
}

/// What a dialer does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Says its name.
    Greet,
    /// Goes on as the peer agrees to.
    Agreed,
    /// Goes on in place of the link that the peer says it has.
    Replace,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("the connection broke off")]
    Io(#[from] io::Error),
    #[error("no TLS connection could be made; both nodes need it, and certificates of one authority")]
    Tls(#[source] io::Error),
    #[error("it speaks TLS, and this node does not: set OTTURNAUT_DIST_TLS_CERT, _KEY and _CA")]
    TlsNotExpected,
    #[error("it does not speak the distribution protocol ({0})")]
    Malformed(&'static str),
    #[error("the name {0:?} is not one of a node")]
    Name(String),
    #[error("{peer} lacks capabilities {missing:#x}; it needs OTP 26 or later, or OTP 25 with 32-bit creations")]
    Flags { peer: Atom, missing: u64 },
    #[error("{peer} has another cookie: check RELEASE_COOKIE here and the cookie there")]
    Cookie { peer: Atom },
    #[error("{peer} refused: {status}")]
    Refused { peer: Atom, status: String },
    #[error("{peer} and this node connect to one another at the same time, the other attempt goes on")]
    Simultaneous { peer: Atom },
    #[error("{peer} is one too many: this node has {} links", limits::LINKS)]
    Full { peer: Atom },
    #[error("it took too long")]
    Timeout,
}

/// A stream that a handshake runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

type DigestBytes = [u8; 16];

fn digest(cookie: &Secret<String>, challenge: u32) -> DigestBytes {
    Md5::new().chain_update(cookie.expose()).chain_update(challenge.to_string()).finalize().into()
}

/// Compares in constant time: how long it takes tells nothing of the digest.
fn matches(cookie: &Secret<String>, challenge: u32, theirs: &DigestBytes) -> bool {
    digest(cookie, challenge).ct_eq(theirs).into()
}

#[cfg(test)]
mod tests;
