//! A peer that knows the cookie and then says whatever a test wants: bytes, not messages.

use std::time::Duration;

use md5::{Digest, Md5};
use otturnaut::term::{Atom, Pid, Reference, Term, atom, codec, list, tuple};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{COOKIE, unique};

const FLAGS: u64 = 0xD_075F_5FBC;

/// An authenticated connection.
pub struct Raw {
    pub stream: TcpStream,
    pub name: Atom,
}

impl Raw {
    /// Connects and runs the handshake under a name that nobody has.
    pub async fn connect(dist_port: u16) -> Self {
        Self::connect_slowly(dist_port, Duration::ZERO).await
    }

    /// The same from afar: each message takes some time.
    pub async fn connect_slowly(dist_port: u16, pause: Duration) -> Self {
        let name = format!("{}@127.0.0.1", unique("raw"));
        Self::connect_as(&name, dist_port, pause).await.expect("the node takes it")
    }

    /// The same under a name; the status, if the node does not take it.
    pub async fn connect_as(name: &str, dist_port: u16, pause: Duration) -> Result<Self, Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", dist_port)).await.unwrap();
        sleep(pause).await;
        say(&mut stream, &hello(name)).await;
        let status = hear(&mut stream).await;
        if status != b"sok" {
            return Err(status);
        }
        sleep(pause).await;
        let challenge = hear(&mut stream).await;
        let number = u32::from_be_bytes(challenge[9..13].try_into().unwrap());
        let mut reply = vec![b'r', 0, 0, 0, 7];
        reply.extend(Md5::new().chain_update(COOKIE).chain_update(number.to_string()).finalize());
        say(&mut stream, &reply).await;
        assert_eq!(hear(&mut stream).await.first(), Some(&b'a'));
        Ok(Self { stream, name: Atom::new(name).unwrap() })
    }

    pub fn pid(&self) -> Pid {
        Pid { node: self.name.clone(), id: 1, serial: 0, creation: 1 }
    }

    pub fn reference(&self, number: u32) -> Reference {
        Reference::new(self.name.clone(), 1, &[number, 0, 0]).unwrap()
    }

    /// Sends bytes as one frame.
    pub async fn frame(&mut self, body: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        self.stream.write_all(&[&length, body].concat()).await
    }

    /// A request to call a function, as `erpc` makes it.
    pub fn call(&self, number: u32, function: &'static str, args: Vec<Term>) -> Vec<u8> {
        let what = tuple([atom("erpc"), atom("execute_call"), Term::Int(4)]);
        let id = Term::from(self.reference(number));
        let from = Term::from(self.pid());
        let control = tuple([Term::Int(29), id.clone(), from.clone(), from, what, list([atom("monitor")])]);
        let payload = list([id, atom("Elixir.Trial"), atom(function), Term::List(args)]);
        message(&control, Some(&payload))
    }

    /// Waits for a spawn reply that says `system_limit`.
    pub async fn refused(&mut self) {
        let mut said = Vec::new();
        let refused = async {
            while !said.windows(12).any(|bytes| bytes == b"system_limit") {
                let mut more = vec![0; 65_536];
                let read = self.stream.read(&mut more).await.unwrap();
                assert!(read > 0, "the node closed the connection");
                said.extend_from_slice(&more[..read]);
            }
        };
        timeout(Duration::from_secs(20), refused).await.expect("the node refuses a call");
    }

    /// Waits until the node has closed the connection.
    pub async fn closed(mut self) {
        let mut rest = vec![0; 65_536];
        let end = async { while self.stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
        timeout(Duration::from_secs(10), end).await.expect("the node closes the connection");
    }
}

/// The body of a frame: a control tuple, and what follows it.
pub fn message(control: &Term, payload: Option<&Term>) -> Vec<u8> {
    let mut body = vec![112];
    codec::encode(control, &mut body).unwrap();
    if let Some(payload) = payload {
        codec::encode(payload, &mut body).unwrap();
    }
    body
}

/// The message that begins a handshake.
pub fn hello(name: &str) -> Vec<u8> {
    let mut hello = vec![b'N'];
    hello.extend(FLAGS.to_be_bytes());
    hello.extend(1_u32.to_be_bytes());
    hello.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
    hello.extend(name.as_bytes());
    hello
}

async fn say(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, message].concat()).await.unwrap();
}

async fn hear(stream: &mut TcpStream) -> Vec<u8> {
    let length = timeout(Duration::from_secs(5), stream.read_u16()).await.unwrap().unwrap();
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await.unwrap();
    message
}
