//! A container's output, as the engine keeps it: frames of stdout and stderr, or plain bytes of a terminal.

use bytes::{Buf, Bytes};
use serde_json::Value;

use super::api::{self, Api};
use crate::host::command::{Line, Stream};
use crate::host::runtime::RuntimeError;
use crate::limits;

/// Stream, three zeros, length of what follows.
const HEADER_BYTES: usize = 8;

/// The last `count` lines, oldest first.
pub(super) async fn tail(api: &Api, name: &str, count: usize) -> Result<Vec<Line>, RuntimeError> {
    let path = format!("containers/{}", api::part(name));
    let found = api.get(&format!("{path}/json"), &[]).await?;
    let terminal = found.pointer("/Config/Tty").and_then(Value::as_bool).unwrap_or(false);
    let query = [("stdout", "1".to_owned()), ("stderr", "1".to_owned()), ("tail", count.to_string())];
    let request = api.request(reqwest::Method::GET, &format!("{path}/logs"), &query).timeout(limits::ENGINE_REQUEST);
    let bytes = api.send(request).await?.bytes().await.map_err(|e| api.failure(&e))?;
    let mut lines = if terminal { lines(Stream::Stdout, &bytes) } else { frames(bytes) };
    // Each of both streams may have given so many.
    lines.drain(..lines.len().saturating_sub(count));
    Ok(lines)
}

/// The lines in an answer of frames; one that is cut gives what is there.
pub(super) fn frames(mut bytes: Bytes) -> Vec<Line> {
    let mut all = Vec::new();
    while let Some(([stream, _, _, _, length @ ..], _)) = bytes.split_first_chunk::<HEADER_BYTES>() {
        let stream = if *stream == 2 { Stream::Stderr } else { Stream::Stdout };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        bytes.advance(HEADER_BYTES);
        let content = bytes.split_to(length.min(bytes.len()));
        all.extend(lines(stream, &content));
    }
    all
}

fn lines(stream: Stream, bytes: &[u8]) -> Vec<Line> {
    let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if whole.is_empty() && bytes.is_empty() {
        return Vec::new();
    }
    let text = |line: &[u8]| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Bytes::copy_from_slice(line.get(..limits::LINE_BYTES).unwrap_or(line))
    };
    whole.split(|byte| *byte == b'\n').map(|line| Line { stream, text: text(line) }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(stream: u8, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], text].concat()
    }

    #[test]
    fn both_streams_are_told_apart_in_their_order() {
        let answer = [frame(1, b"one\n"), frame(2, b"bad\r\n"), frame(1, b"two")].concat();
        let seen: Vec<_> = frames(answer.into()).into_iter().map(|line| (line.stream, line.text)).collect();
        let expected = [(Stream::Stdout, "one"), (Stream::Stderr, "bad"), (Stream::Stdout, "two")];
        assert_eq!(seen, expected.map(|(stream, text)| (stream, Bytes::from(text))));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            frames(bytes.into());
        }
    }
}
