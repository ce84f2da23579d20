//! Where in a log a line stands.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::lives::Life;
use crate::host::Stream;

/// Of the first byte: another layout would have another number.
const LAYOUT: u8 = 1;

/// A place in the log of one stream: after the `count`-th entry of that time, and after all that are earlier. Engines have no
/// numbers for entries, but those of one stream come in the order of their times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// None: before all.
    pub(super) at: Option<Timestamp>,
    pub(super) count: u32,
}

impl Place {
    /// After one more entry.
    #[must_use]
    pub(super) fn after(self, at: Timestamp) -> Self {
        Self { at: Some(at), count: if self.at == Some(at) { self.count.saturating_add(1) } else { 1 } }
    }
}

/// Where a stream goes on: behind what was given of either stream. Each has its place, since an engine takes the time of an
/// entry before it decides which of two streams goes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The deployment whose log it is.
    pub deployment_id: String,
    /// The beginning of its container's id: a rollback runs a deployment once more.
    pub container: String,
    pub(super) places: [Place; 2],
}

/// A text that is no cursor of this agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor")]
pub struct BadCursor;

impl Cursor {
    /// As clients keep it.
    pub fn encode(&self) -> String {
        encode(&self.deployment_id, &self.container, &self.places)
    }

    /// Reads what [`Cursor::encode`] gave.
    ///
    /// # Errors
    /// It is something else.
    pub fn decode(text: &str) -> Result<Self, BadCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let (sum, bytes) = bytes.split_first_chunk::<4>().ok_or(BadCursor)?;
        if crc32fast::hash(bytes).to_be_bytes() != *sum {
            return Err(BadCursor);
        }
        read(bytes).ok_or(BadCursor)
    }
}

/// The place of a line, from which its cursor is made if somebody wants it.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) life: Arc<Life>,
    pub(super) places: [Place; 2],
}

impl Mark {
    pub(super) fn cursor(&self) -> String {
        encode(&self.life.deployment_id, self.life.short_id(), &self.places)
    }
}

fn encode(deployment_id: &str, container: &str, places: &[Place; 2]) -> String {
    let mut bytes = vec![0; 4];
    bytes.push(LAYOUT);
    for place in places {
        let at = place.at.and_then(|at| i64::try_from(at.as_nanosecond()).ok()).unwrap_or(i64::MIN);
        bytes.extend(at.to_be_bytes());
        bytes.extend(place.count.to_be_bytes());
    }
    bytes.push(u8::try_from(container.len()).unwrap_or(0));
    bytes.extend_from_slice(container.as_bytes());
    bytes.extend_from_slice(deployment_id.as_bytes());
    if let Some((sum, rest)) = bytes.split_first_chunk_mut::<4>() {
        *sum = crc32fast::hash(rest).to_be_bytes();
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read(bytes: &[u8]) -> Option<Cursor> {
    let (layout, mut rest) = bytes.split_first()?;
    let mut places = [Place::default(); 2];
    for place in &mut places {
        let (at, more) = rest.split_first_chunk::<8>()?;
        let (count, more) = more.split_first_chunk::<4>()?;
        let at = i64::from_be_bytes(*at);
        place.at = if at == i64::MIN { None } else { Some(Timestamp::from_nanosecond(at.into()).ok()?) };
        place.count = u32::from_be_bytes(*count);
        rest = more;
    }
    let (length, rest) = rest.split_first()?;
    let (container, deployment_id) = rest.split_at_checked(usize::from(*length))?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let cursor = Cursor { deployment_id: text(deployment_id)?, container: text(container)?, places };
    (*layout == LAYOUT && !cursor.container.is_empty()).then_some(cursor)
}

/// Which of two a stream is.
pub(super) fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            deployment_id in "[a-zA-Z0-9_-]{1,100}",
            container in "[0-9a-f]{12}",
            places in proptest::array::uniform2((proptest::option::of(any::<i64>()), any::<u32>())),
        ) {
            let at = |at: i64| Timestamp::from_nanosecond(i128::from(at.max(i64::MIN + 1))).unwrap();
            let places = places.map(|(nanosecond, count)| Place { at: nanosecond.map(at), count });
            let cursor = Cursor { deployment_id, container, places };
            prop_assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        }

        #[test]
        fn what_is_none_is_refused(text in ".{0,80}") {
            prop_assert_eq!(Cursor::decode(&text), Err(BadCursor));
        }

        #[test]
        fn a_cursor_that_was_changed_is_refused(at in 0..60_usize, letter in "[a-zA-Z0-9]") {
            let cursor = Cursor { deployment_id: "d".into(), container: "0123456789ab".into(), places: Default::default() };
            let mut text = cursor.encode();
            let at = at % text.len();
            text.replace_range(at..=at, &letter);
            // The last letter of a text has bits that mean nothing.
            prop_assert!(Cursor::decode(&text).is_err() || text == cursor.encode());
        }
    }
}
