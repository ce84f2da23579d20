//! The exit codes, all of them.

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Done; a signal's orderly end too.
    Ok = 0,
    /// It could not start or go on; the log says why.
    Failure = 1,
    /// Wrong arguments or a wrong environment (`EX_USAGE` of sysexits).
    Usage = 64,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
