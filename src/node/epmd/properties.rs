//! What holds for any bytes that come as a request to our EPMD, or as another's answer.

#![allow(clippy::missing_panics_doc, reason = "to panic is how they tell")]

use futures::FutureExt;

use super::client::{self, RegisterError};
use super::server::{self, Request, Server};
use super::{MESSAGE_BYTES, tag};

/// A request is read or refused, and no more than it is read; a node that registers is found at its port; an answer is
/// understood or refused. `bytes` are a request without its length, a stream of one, and both answers.
pub fn epmd(bytes: &[u8]) {
    request(bytes);
    let mut stream = bytes;
    let read = server::read_request(&mut stream).now_or_never();
    assert!(read.is_some() && bytes.len() - stream.len() <= 2 + MESSAGE_BYTES);
    if read.flatten().is_some() {
        let body = bytes.get(2..bytes.len() - stream.len()).and_then(server::parse);
        assert!(body.is_some(), "read from the stream, and yet no request");
    }
    answers(bytes);
}

fn request(body: &[u8]) {
    let server = Server::with("own", 1234);
    let known = |name: &[u8]| client::port_of(&server.port_answer(name)).ok().flatten();
    match server::parse(body) {
        Some(Request::Register(name, entry)) => {
            let registered = server.register(&name, entry, 0);
            let answer =
                |wide| client::creation_of(&mut &*server.alive_answer(wide, registered.is_some())).now_or_never();
            for told in [answer(true), answer(false)] {
                assert!(matches!(told, Some(Ok(1..))) == registered.is_some(), "{told:?}");
            }
            if registered.is_some() {
                let port = body.get(1..3).and_then(|port| port.try_into().ok()).map(u16::from_be_bytes);
                assert_eq!(known(&name), port);
                drop(registered);
                assert_eq!(known(&name), None, "its name is free again");
            }
        }
        Some(Request::Port(name)) => {
            assert!(body.get(1..).is_some_and(|asked| asked.starts_with(&name)));
            assert_eq!(known(&name), (name == b"own").then_some(1234));
        }
        Some(Request::Names | Request::Dump | Request::Kill | Request::Stop) | None => {}
    }
    assert_eq!(known(b"own"), Some(1234), "nobody takes this node's name");
}

fn answers(answer: &[u8]) {
    if let Ok(Some(port)) = client::port_of(answer) {
        assert!(answer.starts_with(&[tag::PORT_ANSWER, 0]) && answer.get(2..4) == Some(&port.to_be_bytes()));
    }
    let mut stream = answer;
    let creation = client::creation_of(&mut stream).now_or_never();
    let read = answer.get(..answer.len() - stream.len()).unwrap_or_default();
    match creation {
        Some(Ok(creation)) => assert!(
            read == [&[tag::ALIVE_ANSWER, 0], creation.to_be_bytes().as_slice()].concat()
                || (read.len() == 4 && read.starts_with(&[tag::ALIVE_ANSWER_OLD, 0]))
        ),
        Some(Err(RegisterError::Taken)) => assert_ne!(read.get(1), Some(&0)),
        Some(Err(RegisterError::Io(_))) => {}
        None => panic!("it waits for more than there is"),
    }
}
