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
    /// Its socket takes the connection, and nobody answers: it is stopped, or hangs.
    #[error("the agent at {} does not answer in time", socket.display())]
    Silent {
        /// The socket.
        socket: PathBuf,
    },
    /// It closes the connection at once: it ends, or others have all places.
    #[error("the agent at {} takes no command: it ends, or too many are connected", socket.display())]
    Refused {
        /// The socket.
        socket: PathBuf,
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
    /// Connects to the agent with this data directory, and sees that it answers.
    ///
    /// # Errors
    /// None runs, this user may not open its socket, or it does not answer.
    pub fn connect(data_dir: &Path) -> Result<Self, ClientError> {
        let socket = socket_of(data_dir);
        let mut client = match UnixStream::connect(&socket) {
            Ok(stream) => Self(stream),
            Err(source) => return Err(ClientError::NotRunning { socket, source }),
        };
        match client.greet() {
            Err(ClientError::Gone { source }) if is_timeout(&source) => Err(ClientError::Silent { socket }),
            Err(ClientError::Gone { .. }) => Err(ClientError::Refused { socket }),
            greeted => greeted.map(|()| client),
        }
    }

    /// The system takes connections for a process that is stopped, too: only an answer says that it lives.
    fn greet(&mut self) -> Result<(), ClientError> {
        self.within(Some(limits::CONTROL_PING))?;
        self.send(&Request::Prompt)?;
        self.receive()?;
        self.within(None)
    }

    /// Lets an answer take at most so long, or as long as it takes.
    ///
    /// # Errors
    /// The connection broke.
    pub fn within(&self, time: Option<Duration>) -> Result<(), ClientError> {
        self.0.set_read_timeout(time).map_err(gone)
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
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn gone(source: io::Error) -> ClientError {
    ClientError::Gone { source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_agent_that_closes_the_connection_is_not_one_that_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Client::connect(dir.path()), Err(ClientError::NotRunning { .. })));
        let listener = UnixListener::bind(socket_of(dir.path())).unwrap();
        let closing = std::thread::spawn(move || drop(listener.accept()));
        assert!(matches!(Client::connect(dir.path()), Err(ClientError::Refused { .. })));
        closing.join().unwrap();
    }
}
