//! The external term format: bytes to terms and back.

mod atoms;
mod decode;
mod encode;

pub use super::cursor::DecodeError;
pub use atoms::Atoms;
pub use decode::{Decoder, decode};
pub use encode::{EncodeError, Template, encode};

#[cfg(test)]
mod tests;
