//! Why a command ends without having done what it was asked for.

use std::io;

use super::ExitCode;
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
            ClientError::NotRunning { .. } => {
                format!(
                    "{error}: is it running? OTTURNAUT_DATA_DIR names its directory; `otturnaut doctor` looks around"
                )
            }
            ClientError::Gone { source } if source.kind() == io::ErrorKind::WouldBlock => {
                "the agent does not answer in time".to_owned()
            }
            _ => error.to_string(),
        };
        Self { text, code: ExitCode::Unavailable }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}
