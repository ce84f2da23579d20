//! Frames of a link: four bytes of length, and so many of content (erts, "Protocol between connected nodes").

use bytes::{Buf, Bytes, BytesMut};

use crate::limits;

/// The form of the content of a link's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    /// A byte that says so, and terms that have their version byte each.
    #[default]
    PassThrough,
    /// A distribution header, and terms without one.
    Header,
}

/// What a frame of [`Form::PassThrough`] begins with.
pub(super) const PASS_THROUGH: u8 = 112;

/// A frame that is longer than any that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {bytes} bytes, at most {} are taken", limits::FRAME_BYTES)]
pub(super) struct FrameTooLong {
    bytes: usize,
}

/// Takes the content of the next frame out of what was read; `None` until all of it was. Ticks, frames without content, are
/// passed over.
pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameTooLong> {
    while let Some(head) = buffer.first_chunk::<4>() {
        let bytes = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        if bytes > limits::FRAME_BYTES {
            return Err(FrameTooLong { bytes });
        }
        if buffer.len() < 4 + bytes {
            break;
        }
        buffer.advance(4);
        if bytes > 0 {
            return Ok(Some(buffer.split_to(bytes).freeze()));
        }
    }
    Ok(None)
}

/// Bytes that the frame at the start of `buffer` has in all, its length among them; 0 where nothing tells yet.
pub(super) fn wanted(buffer: &[u8]) -> usize {
    let head = buffer.first_chunk::<4>().map_or(0, |head| u32::from_be_bytes(*head));
    usize::try_from(head).map_or(0, |bytes| bytes + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_when_all_of_it_is_there() {
        let mut buffer = BytesMut::from([0, 0, 0, 0, 0, 0, 0, 2, 112].as_slice());
        assert_eq!(take(&mut buffer), Ok(None));
        buffer.extend_from_slice(&[131, 0, 0]);
        assert_eq!(take(&mut buffer), Ok(Some(Bytes::from_static(&[112, 131]))));
        assert_eq!(take(&mut buffer), Ok(None));
        assert_eq!(buffer.as_ref(), [0, 0]);
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_its_head() {
        let bytes = limits::FRAME_BYTES + 1;
        let head = u32::try_from(bytes).unwrap().to_be_bytes();
        assert_eq!(take(&mut BytesMut::from(head.as_slice())), Err(FrameTooLong { bytes }));
        let longest = u32::try_from(limits::FRAME_BYTES).unwrap().to_be_bytes();
        assert_eq!(take(&mut BytesMut::from(longest.as_slice())), Ok(None));
    }
}
