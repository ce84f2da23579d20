//! Reading Rust values out of terms, with the path of what is wrong.

/// A term had another shape than wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: wanted {wanted}, got {got}")]
pub struct ReadError {
    /// Where, as Elixir would write it: `opts[:timeout]`.
    pub path: String,
    /// What is wanted.
    pub wanted: String,
    /// What came, printed short.
    pub got: String,
}
