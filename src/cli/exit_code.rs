//! The exit codes, all of them.

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Done; a signal's orderly end too.
    Ok = 0,
    /// It could not be done; the log or the last line says why. Of `doctor`: something is wrong.
    Failure = 1,
    /// Wrong arguments or a wrong environment (`EX_USAGE` of sysexits).
    Usage = 64,
    /// No agent answers (`EX_UNAVAILABLE`).
    Unavailable = 69,
}

/// The table, as the manual shows it.
#[cfg(test)]
pub(super) const TABLE: &str = "\
Exit codes:
  0   done
  1   it could not be done; the last line says why
  64  wrong arguments, or a wrong environment
  69  no agent answers";

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
