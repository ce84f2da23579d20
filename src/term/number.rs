//! Floats as Erlang has them: finite, and equal only when their bits are.

use std::fmt;
use std::hash::{Hash, Hasher};

/// A finite float. `0.0` and `-0.0` are different values, as `=:=` has it since OTP 27.
#[derive(Clone, Copy)]
pub struct Float(f64);

/// Erlang has no NaN and no infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Erlang floats are finite")]
pub struct NotFinite;

impl Float {
    /// A float term.
    ///
    /// # Errors
    /// `value` is NaN or infinite.
    pub fn new(value: f64) -> Result<Self, NotFinite> {
        if value.is_finite() { Ok(Self(value)) } else { Err(NotFinite) }
    }

    /// Its value.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Float {}

impl Hash for Float {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Debug for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
