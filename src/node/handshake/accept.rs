//! The side that was dialled.

use super::message::{self, Challenge};
use super::{HandshakeError, Head, Local, Peer, Stream, Verdict, digest, matches};
use crate::node::{flags, name};
use crate::term::Atom;

/// What is left to say to a peer that showed that it knows the cookie: that it is let in.
pub(in crate::node) struct LastWord {
    head: Head,
    message: Vec<u8>,
}

impl LastWord {
    pub(in crate::node) async fn send(self, stream: &mut impl Stream) -> Result<(), HandshakeError> {
        message::send(stream, self.head, &self.message).await
    }
}

/// Runs the handshake with a node that dialled, up to its last word; `judge` hears its name once, and settles whether it may
/// go on.
pub(in crate::node) async fn accept(
    stream: &mut impl Stream,
    local: &Local,
    judge: impl Fn(&Atom) -> Verdict + Send,
) -> Result<(Peer, LastWord), HandshakeError> {
    let (peer, offered) = greet(stream, local, judge).await?;
    let ours = rand::random();
    let challenge =
        Challenge { flags: offered, number: ours, creation: local.creation, name: local.name.as_str().as_bytes() };
    message::send(stream, local.head, &message::challenge(&challenge)).await?;
    let frame = message::receive(stream, local.head).await?;
    let (theirs, answer) = message::parse_reply(&frame)?;
    if !matches(&local.cookie, ours, &answer) {
        return Err(HandshakeError::Cookie { peer: peer.name });
    }
    let message = message::acknowledge(digest(&local.cookie, theirs));
    Ok((peer, LastWord { head: local.head, message }))
}

/// Takes the peer's name, answers with a status; tells what to offer.
async fn greet(
    stream: &mut impl Stream,
    local: &Local,
    judge: impl Fn(&Atom) -> Verdict + Send,
) -> Result<(Peer, u64), HandshakeError> {
    let frame = message::receive(stream, local.head).await?;
    let asked = message::parse_name(&frame)?;
    let given = flags::wants_name(asked.flags);
    let found = if given { name::give(asked.text) } else { name::parse(asked.text) };
    let Some(peer) = found.filter(|peer| *peer != local.name) else {
        message::send(stream, local.head, b"snot_allowed").await?;
        return Err(HandshakeError::Name(String::from_utf8_lossy(asked.text).into_owned()));
    };
    let missing = flags::missing(asked.flags);
    if missing != 0 {
        message::send(stream, local.head, b"snot_allowed").await?;
        return Err(HandshakeError::Flags { peer, missing });
    }
    let creation = if given { rand::random::<u32>().max(4) } else { asked.creation };
    match judge(&peer) {
        Verdict::Proceed if given => {
            message::send(stream, local.head, &message::named(peer.as_str(), creation)).await?;
        }
        Verdict::Proceed => message::send(stream, local.head, b"sok").await?,
        Verdict::ProceedSimultaneous => message::send(stream, local.head, b"sok_simultaneous").await?,
        Verdict::Decline => {
            message::send(stream, local.head, b"snok").await?;
            return Err(HandshakeError::Simultaneous { peer });
        }
        Verdict::Full => {
            message::send(stream, local.head, b"snot_allowed").await?;
            return Err(HandshakeError::Full { peer });
        }
    }
    Ok((Peer { name: peer, flags: asked.flags & flags::OURS, creation }, flags::offered(asked.flags)))
}
