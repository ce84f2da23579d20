//! A peer that knows the cookie and then says whatever a test wants: bytes, not messages.

use std::net::Ipv4Addr;
use std::time::Duration;

use md5::{Digest, Md5};
use otturnaut::term::{Atom, Pid, Reference, Term, atom, codec, list, tuple};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
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
        let stream = TcpStream::connect(("127.0.0.1", dist_port)).await.unwrap();
        Self::shake(stream, name, pause).await
    }

    /// The same through a connection that takes little before it is read: `bytes` of it here.
    pub async fn connect_narrow(dist_port: u16, bytes: u32) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        let stream = socket.connect((Ipv4Addr::LOCALHOST, dist_port).into()).await.unwrap();
        let name = format!("{}@127.0.0.1", unique("raw"));
        Self::shake(stream, &name, Duration::ZERO).await.expect("the node takes it")
    }

    async fn shake(mut stream: TcpStream, name: &str, pause: Duration) -> Result<Self, Vec<u8>> {
        sleep(pause).await;
        say(&mut stream, &hello(name)).await;
        let status = hear(&mut stream).await;
        if !status.starts_with(b"sok") {
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

    /// Uses a name without knowing the cookie; waits until the node has noticed.
    pub async fn pretend(name: &str, dist_port: u16) {
        let mut stream = TcpStream::connect(("127.0.0.1", dist_port)).await.unwrap();
        say(&mut stream, &hello(name)).await;
        hear(&mut stream).await;
        hear(&mut stream).await;
        say(&mut stream, &[b"r\0\0\0\x07".as_slice(), &[0; 16]].concat()).await;
        Self { stream, name: Atom::new(name).unwrap() }.closed().await;
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

    /// A request to call a function of `Trial`, as `erpc` makes it.
    pub fn call(&self, number: u32, function: &'static str, args: Vec<Term>) -> Vec<u8> {
        self.call_of(number, ("Elixir.Trial", function), args)
    }

    /// A request to call a function, as `erpc` makes it.
    pub fn call_of(&self, number: u32, (module, function): (&'static str, &'static str), args: Vec<Term>) -> Vec<u8> {
        let what = tuple([atom("erpc"), atom("execute_call"), Term::Int(4)]);
        let id = Term::from(self.reference(number));
        let from = Term::from(self.pid());
        let control = tuple([Term::Int(29), id.clone(), from.clone(), from, what, list([atom("monitor")])]);
        let payload = list([id, atom(module), atom(function), Term::List(args)]);
        message(&control, Some(&payload))
    }

    /// Calls `Trial.echo` and waits for its answer: the link is served.
    pub async fn is_served(&mut self) {
        let call = self.call(1, "echo", vec![atom("heard_and_served")]);
        self.frame(&call).await.unwrap();
        self.hears(b"heard_and_served").await;
    }

    /// The next frame that has content.
    pub async fn next(&mut self) -> Vec<u8> {
        loop {
            let length = self.stream.read_u32().await.expect("the connection holds");
            let mut frame = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut frame).await.expect("the connection holds");
            if !frame.is_empty() {
                return frame;
            }
        }
    }

    /// Waits for a spawn reply that says `system_limit`.
    pub async fn refused(&mut self) {
        self.hears(b"system_limit").await;
    }

    /// Waits until these bytes came.
    pub async fn hears(&mut self, wanted: &[u8]) {
        let mut said = Vec::new();
        let mut more = vec![0; 65_536];
        let heard = async {
            while !said.windows(wanted.len()).any(|bytes| bytes == wanted) {
                // They may be cut in two.
                said.drain(..said.len().saturating_sub(wanted.len()));
                let read = self.stream.read(&mut more).await.unwrap();
                assert!(read > 0, "the node closed the connection");
                said.extend_from_slice(&more[..read]);
            }
        };
        timeout(Duration::from_secs(20), heard).await.expect("the node answers");
    }

    /// Waits until the node has closed the connection.
    pub async fn closed(mut self) {
        let mut rest = vec![0; 65_536];
        let end = async { while self.stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
        timeout(Duration::from_secs(10), end).await.expect("the node closes the connection");
    }
}

/// A peer that is dialled.
pub struct Dialled {
    listener: TcpListener,
    name: String,
    /// The name is registered as long as this is open.
    _epmd: TcpStream,
}

/// A node that said its name and waits for a status.
pub struct Greeted {
    pub stream: TcpStream,
    name: String,
}

impl Dialled {
    /// Listens and registers its name.
    pub async fn register(name: &str, epmd_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = name.split('@').next().unwrap().as_bytes();
        let mut request = vec![b'x'];
        request.extend(listener.local_addr().unwrap().port().to_be_bytes());
        request.extend([77, 0, 0, 6, 0, 5]);
        request.extend(u16::try_from(alive.len()).unwrap().to_be_bytes());
        request.extend([alive, &[0, 0]].concat());
        let mut epmd = TcpStream::connect(("127.0.0.1", epmd_port)).await.unwrap();
        say(&mut epmd, &request).await;
        let mut answer = [0; 6];
        epmd.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[..2], [118, 0]);
        Self { listener, name: name.to_owned(), _epmd: epmd }
    }

    /// Waits until a node has dialled and said its name.
    pub async fn greeted(&self) -> Greeted {
        let (mut stream, _) = timeout(Duration::from_secs(10), self.listener.accept()).await.unwrap().unwrap();
        assert_eq!(hear(&mut stream).await.first(), Some(&b'N'));
        Greeted { stream, name: self.name.clone() }
    }
}

impl Greeted {
    /// Answers with a status.
    pub async fn answer(&mut self, status: &[u8]) {
        say(&mut self.stream, status).await;
    }

    /// What the node says.
    pub async fn hear(&mut self) -> Vec<u8> {
        hear(&mut self.stream).await
    }

    /// Goes on after the status, to the end of the handshake.
    pub async fn admit(mut self) -> Raw {
        let mut challenge = vec![b'N'];
        challenge.extend(FLAGS.to_be_bytes());
        challenge.extend([0, 0, 0, 9, 0, 0, 0, 1]);
        challenge.extend(u16::try_from(self.name.len()).unwrap().to_be_bytes());
        challenge.extend(self.name.as_bytes());
        say(&mut self.stream, &challenge).await;
        let reply = self.hear().await;
        let number = u32::from_be_bytes(reply[1..5].try_into().unwrap());
        let mut acknowledge = vec![b'a'];
        acknowledge.extend(Md5::new().chain_update(COOKIE).chain_update(number.to_string()).finalize());
        say(&mut self.stream, &acknowledge).await;
        Raw { stream: self.stream, name: Atom::new(self.name).unwrap() }
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
