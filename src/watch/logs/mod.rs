//! What applications say: streams of their logs, and what is kept of those whose container is gone.
//!
//! ```text
//! stream.rs  a stream over everything that its application lives through
//! lives.rs   whose log it is: containers that are there, logs that are kept
//! lines.rs   entries of an engine become whole lines;  text.rs  that can be read
//! cursor.rs  where in a log a line stands
//! kept.rs    the log of a container that is about to go
//! ```

mod cursor;
mod kept;
mod lines;
mod lives;
mod stream;
mod text;

pub use cursor::{BadCursor, Cursor};
pub use kept::{Went, keep};
pub use lines::{LogItem, LogLine};
pub use lives::Life;
pub use stream::{LogError, LogRequest, LogStream, Logs};
