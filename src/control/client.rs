//! The side of the commands. They do one thing after the other, so nothing here is asynchronous.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::message::{Answer, HEAD, Request, decoded, framed, length};
use crate::limits;

/// Where the socket of an agent is.
pub fn socket_of(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Why the running agent was not reached, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("no agent answers at {}", socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the agent went away")]
    Gone {
        /// Why.
        source: io::Error,
    },
    /// It said something that this version does not know.
    #[error("the agent gave an answer that is not understood: is it of another version?")]
    Strange,
}

/// A connection to the running agent: a shell in it.
#[derive(Debug)]
pub struct Client(UnixStream);

impl Client {
    /// Connects to the agent with this data directory.
    ///
    /// # Errors
    /// None runs, or this user may not open its socket.
    pub fn connect(data_dir: &Path) -> Result<Self, ClientError> {
        let socket = socket_of(data_dir);
        match UnixStream::connect(&socket) {
            Ok(stream) => Ok(Self(stream)),
            Err(source) => Err(ClientError::NotRunning { socket, source }),
        }
    }

    /// Lets an answer take at most so long.
    ///
    /// # Errors
    /// The connection broke.
    pub fn within(&self, time: Duration) -> Result<(), ClientError> {
        self.0.set_read_timeout(Some(time)).map_err(gone)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let frame = framed(&request.term()).map_err(|_| ClientError::Strange)?;
        self.0.write_all(&frame).map_err(gone)
    }

    /// The next answer.
    ///
    /// # Errors
    /// The connection broke, or the answer is not understood.
    pub fn receive(&mut self) -> Result<Answer, ClientError> {
        let mut head = [0; HEAD];
        self.0.read_exact(&mut head).map_err(gone)?;
        let mut frame = vec![0; length(head, limits::CONTROL_ANSWER).ok_or(ClientError::Strange)?];
        self.0.read_exact(&mut frame).map_err(gone)?;
        decoded(frame).as_ref().and_then(Answer::read).ok_or(ClientError::Strange)
    }

    /// Waits until the agent closes the connection: until it has ended.
    ///
    /// # Errors
    /// It did not within the time that was set.
    pub fn wait_for_end(&mut self) -> Result<(), ClientError> {
        loop {
            match self.receive() {
                Err(ClientError::Gone { source }) if is_timeout(&source) => return Err(gone(source)),
                Err(_) => return Ok(()),
                Ok(_) => {}
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn gone(source: io::Error) -> ClientError {
    ClientError::Gone { source }
}
