//! The journal: what each run is about to do is on disk before it does it.
//!
//! ```text
//! record.rs  a record and its line
//! book.rs    what all records say together
//! writer.rs  from memory to disk, many records with one write
//! ```

mod book;
mod record;
mod writer;

pub(super) use book::OpenRun;
pub(super) use record::{Record, RunId, Work};
pub(super) use writer::Journal;
pub use writer::JournalError;
