//! The external term format: bytes to terms and back.

mod decode;
mod encode;

pub use super::cursor::DecodeError;
pub use decode::decode;
pub use encode::{EncodeError, Template, encode};

#[cfg(test)]
mod tests;
