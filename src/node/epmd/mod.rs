//! EPMD: the register of a machine's nodes (erts, "Protocol between a client and EPMD").
//!
//! ```text
//! keeper --register--> EPMD that answers on the port, watched, registered at again when it comes back
//!        --or-------> server.rs: EPMD of our own, when none answers
//! dialer --client::lookup--> EPMD of the peer's host
//! ```

pub(super) mod client;
mod keeper;
#[cfg(any(test, fuzzing))]
pub(super) mod properties;
mod server;

pub use client::lookup;
pub(super) use keeper::{Keeper, KeeperError};

/// Requests and answers, by their first byte.
mod tag {
    pub(super) const ALIVE: u8 = 120;
    pub(super) const ALIVE_ANSWER: u8 = 118;
    /// Of EPMD before OTP 23: a creation of 16 bits.
    pub(super) const ALIVE_ANSWER_OLD: u8 = 121;
    pub(super) const PORT: u8 = 122;
    pub(super) const PORT_ANSWER: u8 = 119;
    pub(super) const NAMES: u8 = 110;
    pub(super) const DUMP: u8 = 100;
    pub(super) const KILL: u8 = 107;
    pub(super) const STOP: u8 = 115;
}

/// Type of a hidden node.
const HIDDEN: u8 = 72;
/// The only version of the distribution protocol.
const VERSION: u16 = 6;
/// Most bytes of a name (255 characters), and of what a node keeps beside it.
const TEXT_BYTES: usize = 4 * 255;
/// Most bytes of a request or an answer.
const MESSAGE_BYTES: usize = 16 + 2 * TEXT_BYTES;
