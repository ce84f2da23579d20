//! The side that dials.

use super::message;
use super::{HandshakeError, Head, Local, Peer, Step, Stream, digest, matches};
use crate::node::flags;
use crate::term::Atom;

/// Runs the handshake with `peer`, which was dialled; `may` settles before each step whether the attempt goes on.
pub(in crate::node) async fn dial(
    stream: &mut impl Stream,
    local: &Local,
    peer: &Atom,
    may: impl Fn(Step) -> bool + Send,
) -> Result<Peer, HandshakeError> {
    if !may(Step::Greet) {
        return Err(HandshakeError::Simultaneous { peer: peer.clone() });
    }
    message::send(stream, local.head, &message::name(flags::OURS, local.creation, local.name.as_str())).await?;
    status(stream, local.head, peer, may).await?;
    let frame = message::receive(stream, local.head).await?;
    let theirs = message::parse_challenge(&frame)?;
    if theirs.name != peer.as_str().as_bytes() {
        return Err(HandshakeError::Name(String::from_utf8_lossy(theirs.name).into_owned()));
    }
    let missing = flags::missing(theirs.flags);
    if missing != 0 {
        return Err(HandshakeError::Flags { peer: peer.clone(), missing });
    }
    let ours = rand::random();
    message::send(stream, local.head, &message::reply(ours, digest(&local.cookie, theirs.number))).await?;
    // A node whose cookie is another closes the connection at this point, and says nothing.
    let answer = message::receive(stream, local.head).await.map_err(|e| match e {
        HandshakeError::Io(_) => HandshakeError::Cookie { peer: peer.clone() },
        other => other,
    })?;
    if !matches(&local.cookie, ours, &message::parse_acknowledge(&answer)?) {
        return Err(HandshakeError::Cookie { peer: peer.clone() });
    }
    Ok(Peer { name: peer.clone(), flags: theirs.flags & flags::OURS, creation: theirs.creation })
}

async fn status(
    stream: &mut impl Stream,
    head: Head,
    peer: &Atom,
    may: impl Fn(Step) -> bool + Send,
) -> Result<(), HandshakeError> {
    let simultaneous = || HandshakeError::Simultaneous { peer: peer.clone() };
    let frame = message::receive(stream, head).await?;
    match frame.as_slice() {
        b"sok" | b"sok_simultaneous" if may(Step::Agreed) => Ok(()),
        b"snok" | b"sok" | b"sok_simultaneous" => Err(simultaneous()),
        b"salive" if may(Step::Replace) => message::send(stream, head, b"strue").await,
        b"salive" => {
            message::send(stream, head, b"sfalse").await?;
            Err(simultaneous())
        }
        [b's', status @ ..] => {
            let status = String::from_utf8_lossy(status).chars().take(40).collect();
            Err(HandshakeError::Refused { peer: peer.clone(), status })
        }
        _ => Err(HandshakeError::Malformed("a status was wanted")),
    }
}
