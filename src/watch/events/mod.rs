//! What happens on this outpost, for those who watch it from afar.

mod event;
mod log;

pub use event::{About, Event, What};
pub use log::{Events, Gone};
