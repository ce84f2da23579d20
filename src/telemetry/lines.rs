//! Lines of the log: each event is one, whatever is in it.
//!
//! ```text
//! 2026-11-26T19:03:29.827Z INFO  deploy completed app_id=shop deployment_id=IneDvWRV port=30367 duration=358ms
//! {"timestamp":"2026-11-26T19:03:29.827Z","level":"info","message":"deploy completed","app_id":"shop","duration_ms":358}
//! ```

use std::fmt::{self, Debug, Write as _};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::elapsed;

/// How lines are written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lines {
    /// For people.
    Text {
        /// Whether with colours.
        color: bool,
    },
    /// One object a line.
    Json,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        // Milliseconds do for people and for whoever sorts them.
        let at = format!("{:.3}", Timestamp::now());
        let level = *event.metadata().level();
        let line = match self {
            Self::Text { color } => text(&at, level, &said, *color),
            Self::Json => json(at, level, said),
        };
        writeln!(writer, "{line}")
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    fn add(&mut self, field: &Field, value: Value) {
        self.fields.push((field.name(), value));
    }
}

impl Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.add(field, value.into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.add(field, format!("{value:?}").into());
        }
    }
}

fn json(at: String, level: Level, said: Said) -> String {
    let level = level.as_str().to_lowercase();
    let own = [("timestamp", Value::from(at)), ("level", level.into()), ("message", said.message.into())];
    let mut line: Map<String, Value> = said.fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    line.extend(own.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(line).to_string()
}

fn text(at: &str, level: Level, said: &Said, color: bool) -> String {
    let (begin, dim, end) = if color { (hue(level), "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    let mut line = format!("{dim}{at}{end} {begin}{:<5}{end} ", level.as_str());
    escape(&mut line, &said.message);
    for (name, value) in &said.fields {
        let (name, value) = shown(name, value);
        // A String takes whatever is written.
        write!(line, " {dim}{name}={end}{value}").unwrap_or_default();
    }
    line
}

fn hue(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[2m",
    }
}

/// A field as people read it: of `duration_ms` the name without its unit, and the value with it.
fn shown<'a>(name: &'a str, value: &Value) -> (&'a str, String) {
    if let (Some(short), Some(ms)) = (name.strip_suffix("_ms"), value.as_u64()) {
        return (short, elapsed::shown(ms));
    }
    let text = match value {
        Value::String(text) => word(text),
        other => other.to_string(),
    };
    (name, text)
}

/// A value between quotes where it would not be one word otherwise.
fn word(text: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    escape(&mut quoted, &text.replace('\\', "\\\\").replace('"', "\\\""));
    quoted.push('"');
    quoted
}

/// What would end the line, or move a terminal's cursor, as an escape.
fn escape(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Buffer {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn logged(lines: Lines, say: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(buffer.clone()).event_format(lines);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// Without the time.
    fn text_of(say: impl FnOnce()) -> String {
        let line = logged(Lines::Text { color: false }, say);
        let (at, rest) = line.split_once(' ').unwrap();
        assert_eq!((at.len(), at.parse::<Timestamp>().is_ok()), ("2026-11-26T19:03:29.827Z".len(), true), "{at}");
        rest.to_owned()
    }

    #[test]
    fn text_aligns_levels_and_quotes_what_is_not_one_word() {
        let said =
            text_of(|| tracing::info!(app_id = "shop", port = 8, none = None::<u8>, why = "a \"b\"", "it began"));
        assert_eq!(said, "INFO  it began app_id=shop port=8 why=\"a \\\"b\\\"\"\n");
        assert_eq!(text_of(|| tracing::error!(empty = "", key = "a=b", "no")), "ERROR no empty=\"\" key=\"a=b\"\n");
    }

    #[test]
    fn whatever_is_said_stays_one_line() {
        let said = text_of(|| tracing::warn!(output = "one\ntwo\x1b[31m", "three\r\nfour\u{2028}"));
        assert_eq!(said, "WARN  three\\r\\nfour\\u{2028} output=\"one\\ntwo\\u{1b}[31m\"\n");
    }

    #[test]
    fn durations_have_their_unit() {
        assert_eq!(text_of(|| tracing::info!(duration_ms = 9_999_u64, "a")), "INFO  a duration=9999ms\n");
        assert_eq!(text_of(|| tracing::info!(after_ms = 10_000_u64, "a")), "INFO  a after=10.0s\n");
    }

    #[test]
    fn json_is_flat_and_its_own_fields_are_its_own() {
        let line = logged(Lines::Json, || {
            tracing::info!(level = "mine", duration_ms = 5_u64, error = %"a\n\"b\"", "it\nbegan");
        });
        assert_eq!(line.lines().count(), 1);
        let line: Value = serde_json::from_str(&line).unwrap();
        let of = |name: &str| line.get(name).unwrap().clone();
        assert_eq!((of("level"), of("message")), ("info".into(), "it\nbegan".into()));
        assert_eq!((of("duration_ms"), of("error")), (5.into(), "a\n\"b\"".into()));
        assert!(of("timestamp").as_str().unwrap().parse::<Timestamp>().is_ok());
    }

    #[test]
    fn colours_are_around_words_and_not_in_them() {
        let line = logged(Lines::Text { color: true }, || tracing::warn!(app_id = "shop", "it ended"));
        assert!(line.contains("\x1b[33mWARN \x1b[0m it ended \x1b[2mapp_id=\x1b[0mshop\n"), "{line:?}");
    }
}
