//! The frames of the handshake: a length and a message.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{DigestBytes, HandshakeError, Head, Stream};

/// Longest frame: a name of 255 bytes and its head are far below.
const FRAME_BYTES: usize = 512;
/// What TLS begins with: a record of its handshake, and the version's first byte.
const TLS_RECORD: u32 = 0x1603;

/// `N`: the dialer's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) flags: u64,
    pub(super) creation: u32,
    pub(super) text: &'a [u8],
}

/// `N` of the acceptor: its name and its challenge.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge<'a> {
    pub(super) flags: u64,
    pub(super) number: u32,
    pub(super) creation: u32,
    pub(super) name: &'a [u8],
}

pub(super) async fn receive(stream: &mut impl Stream, head: Head) -> Result<Vec<u8>, HandshakeError> {
    let length = match head {
        Head::Two => u32::from(stream.read_u16().await?),
        Head::Four => stream.read_u32().await?,
    };
    if head == Head::Two && length == TLS_RECORD {
        return Err(HandshakeError::TlsNotExpected);
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if !(1..=FRAME_BYTES).contains(&length) {
        return Err(HandshakeError::Malformed("a frame of the handshake has 1 to 512 bytes"));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

pub(super) async fn send(stream: &mut impl Stream, head: Head, message: &[u8]) -> Result<(), HandshakeError> {
    let length = u16::try_from(message.len()).map_err(|_| HandshakeError::Malformed("a message is too long"))?;
    let frame = match head {
        Head::Two => [&length.to_be_bytes(), message].concat(),
        Head::Four => [&u32::from(length).to_be_bytes(), message].concat(),
    };
    stream.write_all(&frame).await?;
    Ok(stream.flush().await?)
}

pub(super) fn name(flags: u64, creation: u32, name: &str) -> Vec<u8> {
    let mut out = vec![b'N'];
    out.extend(flags.to_be_bytes());
    out.extend(creation.to_be_bytes());
    put_text(&mut out, name);
    out
}

pub(super) fn parse_name(frame: &[u8]) -> Result<Name<'_>, HandshakeError> {
    const WRONG: HandshakeError = HandshakeError::Malformed("a name message was wanted");
    if frame.first() == Some(&b'n') {
        return Err(HandshakeError::Malformed("a handshake of before OTP 23"));
    }
    let rest = frame.strip_prefix(b"N").ok_or(WRONG)?;
    let (flags, rest) = take_u64(rest).ok_or(WRONG)?;
    let (creation, rest) = take_u32(rest).ok_or(WRONG)?;
    Ok(Name { flags, creation, text: text(rest).ok_or(WRONG)? })
}

pub(super) fn challenge(message: &Challenge<'_>) -> Vec<u8> {
    let mut out = vec![b'N'];
    out.extend(message.flags.to_be_bytes());
    out.extend(message.number.to_be_bytes());
    out.extend(message.creation.to_be_bytes());
    // Names have 255 bytes at most.
    out.extend(u16::try_from(message.name.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(message.name);
    out
}

pub(super) fn parse_challenge(frame: &[u8]) -> Result<Challenge<'_>, HandshakeError> {
    const WRONG: HandshakeError = HandshakeError::Malformed("a challenge was wanted");
    let rest = frame.strip_prefix(b"N").ok_or(WRONG)?;
    let (flags, rest) = take_u64(rest).ok_or(WRONG)?;
    let (number, rest) = take_u32(rest).ok_or(WRONG)?;
    let (creation, rest) = take_u32(rest).ok_or(WRONG)?;
    Ok(Challenge { flags, number, creation, name: text(rest).ok_or(WRONG)? })
}

/// `named:`: the name that the acceptor gives to a dialer that asked for one.
pub(super) fn named(name: &str, creation: u32) -> Vec<u8> {
    let mut out = b"snamed:".to_vec();
    put_text(&mut out, name);
    out.extend(creation.to_be_bytes());
    out
}

pub(super) fn reply(challenge: u32, digest: DigestBytes) -> Vec<u8> {
    let mut out = vec![b'r'];
    out.extend(challenge.to_be_bytes());
    out.extend(digest);
    out
}

pub(super) fn parse_reply(frame: &[u8]) -> Result<(u32, DigestBytes), HandshakeError> {
    const WRONG: HandshakeError = HandshakeError::Malformed("an answer to the challenge was wanted");
    let (challenge, rest) = frame.strip_prefix(b"r").and_then(take_u32).ok_or(WRONG)?;
    Ok((challenge, rest.try_into().map_err(|_| WRONG)?))
}

pub(super) fn acknowledge(digest: DigestBytes) -> Vec<u8> {
    [b"a".as_slice(), &digest].concat()
}

pub(super) fn parse_acknowledge(frame: &[u8]) -> Result<DigestBytes, HandshakeError> {
    const WRONG: HandshakeError = HandshakeError::Malformed("an acknowledgement was wanted");
    frame.strip_prefix(b"a").and_then(|rest| rest.try_into().ok()).ok_or(WRONG)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn text(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (value, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*value), rest))
}

fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (value, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*value), rest))
}
