//! Printing terms as Elixir does.
use super::Term;
/// A term to print.
pub struct Inspect<'a>(&'a Term);
impl<'a> Inspect<'a> {
    /// Prints `term`.
    pub fn new(term: &'a Term) -> Self {
        Self(term)
    }
}
impl std::fmt::Display for Inspect<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let _ = self.0;
        f.write_str("...")
    }
}
