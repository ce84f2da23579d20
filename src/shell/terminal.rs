//! Where a shell prints and reads.

use async_trait::async_trait;

/// Nobody is there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the terminal is gone")]
pub struct Closed;

/// What came of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line, with its end.
    Text(String),
    /// What was typed so far is to be forgotten.
    Interrupted,
    /// There is no more.
    End,
}

/// The terminal of a shell.
#[async_trait]
pub trait Terminal: Send + Sync {
    /// Prints a text as it is.
    ///
    /// # Errors
    /// Nobody is there any more.
    async fn print(&self, text: String) -> Result<(), Closed>;

    /// Shows a prompt and reads a line.
    ///
    /// # Errors
    /// Nobody is there any more.
    async fn read(&self, prompt: String) -> Result<Line, Closed>;

    /// Columns of a line.
    async fn columns(&self) -> usize {
        80
    }

    /// How to leave, where the end of the shell alone does not leave it.
    fn way_out(&self) -> Option<&'static str> {
        None
    }
}
