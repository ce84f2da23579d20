//! Why a command ends without having done what it was asked for.

use std::fs::File;
use std::io;

use super::ExitCode;
use crate::config;
use crate::control::ClientError;

/// A command failed: what is said, and the exit code.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) text: String,
    pub(super) code: ExitCode,
}

impl Failure {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: ExitCode::Failure }
    }

    /// What the agent says of an expression that a command made of its arguments: where it refuses one, it names it.
    pub(super) fn of_arguments(self) -> Self {
        match self.text.strip_prefix("** (ArgumentError) ") {
            Some(wrong) => Self::usage(wrong),
            None => self,
        }
    }

    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: ExitCode::Usage }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let text = match &error {
            ClientError::NotRunning { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                format!("{error}: this user may not open it; try it as root, or as the agent's user")
            }
            ClientError::NotRunning { .. } => match closed_settings() {
                Some(file) => {
                    format!("{error}: {file} may name another place, and this user may not read it; try it as root")
                }
                None => format!(
                    "{error}: is it running? OTTURNAUT_DATA_DIR names its directory; `otturnaut doctor` looks around"
                ),
            },
            ClientError::Silent { .. } => {
                format!("{error}: it is stopped, or hangs; `otturnaut doctor` says what to do")
            }
            ClientError::Gone { source } if source.kind() == io::ErrorKind::WouldBlock => {
                "the agent does not answer in time".to_owned()
            }
            _ => error.to_string(),
        };
        Self { text, code: ExitCode::Unavailable }
    }
}

/// The settings of an installed agent, where they would count and this user may not read them.
fn closed_settings() -> Option<String> {
    let file = config::own_variable("OTTURNAUT_ENV_FILE").unwrap_or_else(|| "/etc/otturnaut/otturnaut.env".to_owned());
    let counts = config::own_variable("RELEASE_NODE").is_none();
    let closed = || File::open(&file).is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied);
    (counts && closed()).then_some(file)
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Whoever read it has all that was wanted, as behind `| head`: nothing is left to do or to say.
            io::ErrorKind::BrokenPipe => Self { text: String::new(), code: ExitCode::Ok },
            _ => Self::new(error.to_string()),
        }
    }
}
