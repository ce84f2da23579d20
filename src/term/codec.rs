//! The external term format.

/// stub
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot decode")]
pub struct DecodeError;
/// stub
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot encode")]
pub struct EncodeError;
