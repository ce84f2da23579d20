//! The agent's side.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::client::socket_of;
use super::message::{Answer, HEAD, Request, decoded, framed, length};
use crate::limits;
use crate::node::{Context, Inbox, Node};
use crate::shell::{Closed, Line, Outcome, Session, Terminal, complete};
use crate::term::{Term, atom};

/// The socket cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another agent serves it.
    #[error("another agent answers at {}", socket.display())]
    Taken {
        /// The socket.
        socket: PathBuf,
    },
    /// The system refuses it.
    #[error("cannot listen at {}", socket.display())]
    Listen {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The socket, served until its token is cancelled.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    socket: PathBuf,
}

impl Server {
    /// Opens the socket of a data directory; one that a dead agent left is replaced.
    ///
    /// # Errors
    /// Another agent serves it, or the system refuses it.
    pub async fn open(data_dir: &Path) -> Result<Self, ServerError> {
        let socket = socket_of(data_dir);
        if UnixStream::connect(&socket).await.is_ok() {
            return Err(ServerError::Taken { socket });
        }
        let listen = || {
            std::fs::create_dir_all(data_dir)?;
            match std::fs::remove_file(&socket) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let listener = UnixListener::bind(&socket)?;
            std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        match listen() {
            Ok(listener) => Ok(Self { listener, socket }),
            Err(source) => Err(ServerError::Listen { socket, source }),
        }
    }

    /// Serves connections, each in a process of the node, until the end.
    pub async fn serve(self, node: Node, until: CancellationToken) {
        let places = Arc::new(Semaphore::new(limits::CONTROL_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = until.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    // Without a place it is closed.
                    if let Ok(place) = places.clone().try_acquire_owned() {
                        let of = node.clone();
                        node.spawn(("otturnaut", "control", 0), |this| async move {
                            // A client that goes is an end like any other.
                            converse(stream, of, this).await.unwrap_or_default();
                            drop(place);
                            atom("normal")
                        });
                    }
                }
                Err(e) => {
                    tracing::warn!("a command could not connect: {e}");
                    tokio::time::sleep(limits::CONTROL_PAUSE).await;
                }
            }
        }
        // It may be gone with its directory.
        std::fs::remove_file(&self.socket).unwrap_or_default();
    }
}

/// Serves one connection.
async fn converse(stream: UnixStream, node: Node, this: crate::term::Pid) -> Result<(), Closed> {
    let (read, write) = stream.into_split();
    let output = Arc::new(Output { write: Mutex::new(write), columns: AtomicUsize::new(80) });
    let inbox = node.open_inbox(&this);
    let context = Context { node: node.clone(), caller: this.clone(), group_leader: Term::from(this.clone()), this };
    let session = Session::new(context, output.clone(), inbox.clone());
    let (requests, came) = mpsc::channel(1);
    let mut connection = Connection { node, output, inbox, session, came, follows: false };
    tokio::select! {
        biased;
        result = connection.serve() => result,
        () = read_all(read, requests) => Ok(()),
    }
}

/// Reads requests until the client goes or says what is none. It ends only then, and with it what the client asked for.
async fn read_all(mut read: OwnedReadHalf, requests: mpsc::Sender<Request>) {
    loop {
        let mut head = [0; HEAD];
        if read.read_exact(&mut head).await.is_err() {
            return;
        }
        let Some(length) = length(head, limits::CONTROL_REQUEST) else { return };
        let mut frame = vec![0; length];
        if read.read_exact(&mut frame).await.is_err() {
            return;
        }
        let Some(request) = decoded(frame).as_ref().and_then(Request::read) else { return };
        if requests.send(request).await.is_err() {
            return;
        }
    }
}

struct Connection {
    node: Node,
    output: Arc<Output>,
    inbox: Inbox,
    session: Session,
    came: mpsc::Receiver<Request>,
    /// Whether messages are passed on.
    follows: bool,
}

impl Connection {
    async fn serve(&mut self) -> Result<(), Closed> {
        loop {
            let request = tokio::select! {
                request = self.came.recv() => request,
                message = self.inbox.next(), if self.follows => {
                    self.output.send(&Answer::Message(message)).await?;
                    continue;
                }
                // Whoever waits for nothing is not waited for.
                () = self.node.closing() => return Ok(()),
            };
            match request {
                // The reader tells the end.
                None => std::future::pending().await,
                Some(Request::Eval(line)) => {
                    let answer = self.eval(&line).await?;
                    self.output.send(&answer).await?;
                }
                Some(Request::Complete(line)) => {
                    let completion = complete(&self.node, &line);
                    self.output.send(&Answer::Completion(completion)).await?;
                }
                Some(Request::Prompt) => self.output.send(&Answer::Prompt(self.session.prompt())).await?,
                Some(Request::Forget) => self.session.forget(),
                Some(Request::Follow) => self.follows = true,
                Some(Request::Columns(columns)) => {
                    self.output.columns.store(columns.clamp(20, 1000), Ordering::Relaxed);
                }
            }
        }
    }

    /// Evaluates a line; what is sent meanwhile is passed on first.
    async fn eval(&mut self, line: &str) -> Result<Answer, Closed> {
        let (inbox, output, follows) = (self.inbox.clone(), self.output.clone(), self.follows);
        let node = self.node.clone();
        let evaluated = self.session.line(line);
        tokio::pin!(evaluated);
        let outcome = loop {
            tokio::select! {
                biased;
                message = inbox.next(), if follows => output.send(&Answer::Message(message)).await?,
                outcome = &mut evaluated => break outcome,
                () = node.closing() => break Outcome::Error("the agent ends".to_owned()),
            }
        };
        while let Some(message) = if follows { inbox.take() } else { None } {
            output.send(&Answer::Message(message)).await?;
        }
        Ok(match outcome {
            Outcome::More => Answer::More,
            Outcome::Nothing => Answer::Nothing,
            Outcome::Value(value, shown) => Answer::Value(value, shown),
            Outcome::Error(text) => Answer::Error(text),
        })
    }
}

/// The client, as a terminal: it is printed to, and reads its lines itself.
struct Output {
    write: Mutex<OwnedWriteHalf>,
    columns: AtomicUsize,
}

impl Output {
    async fn send(&self, answer: &Answer) -> Result<(), Closed> {
        let frame = framed(&answer.term()).or_else(|e| {
            let text = format!("** (ArgumentError) the result cannot be sent: {e}");
            framed(&Answer::Error(text).term())
        });
        self.write.lock().await.write_all(&frame.map_err(|_| Closed)?).await.map_err(|_| Closed)
    }
}

#[async_trait]
impl Terminal for Output {
    async fn print(&self, text: String) -> Result<(), Closed> {
        if text.is_empty() { Ok(()) } else { self.send(&Answer::Output(text)).await }
    }

    async fn read(&self, _: String) -> Result<Line, Closed> {
        Ok(Line::End)
    }

    async fn columns(&self) -> usize {
        self.columns.load(Ordering::Relaxed)
    }
}
