//! The external term format: bytes to terms and back.

mod atoms;
mod decode;
mod encode;
mod encoded;
mod header;
mod output;

pub use super::cursor::DecodeError;
pub use atoms::Atoms;
pub use decode::{Decoder, SHARED_BYTES, decode};
pub use encode::{EncodeError, Encoder, Template, encode, encode_bare};
pub use encoded::Encoded;
pub use header::{Header, Numbered, has_many_atoms, starts_header};
pub use output::{Mark, Output};

#[cfg(test)]
mod tests;
