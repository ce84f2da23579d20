//! A terminal on another node: the group leader that a remote shell was started with, spoken to by Erlang's I/O protocol.

use async_trait::async_trait;

use super::terminal::{Closed, Line, Terminal};
use crate::node::{Inbox, Node};
use crate::term::{Pid, Term, atom, binary, list, tuple};

/// The client's terminal.
pub(super) struct GroupLeader {
    pub(super) node: Node,
    /// The shell's process.
    pub(super) this: Pid,
    /// The process that stands for the terminal.
    pub(super) leader: Pid,
    pub(super) inbox: Inbox,
}

impl GroupLeader {
    /// `{io_request, from, reference, request}`; gives the result of the reply.
    async fn request(&self, request: Term) -> Result<Term, Closed> {
        let reference = self.node.make_reference().ok_or(Closed)?;
        let reply = self.inbox.expect_reply(reference.clone());
        let message = tuple([atom("io_request"), self.this.clone().into(), reference.into(), request]);
        let asked = async {
            self.node.send(&self.this, &self.leader, message).await.map_err(|_| Closed)?;
            reply.await.map_err(|_| Closed)
        };
        self.node.while_alive(&self.this, &self.leader, asked).await.unwrap_or(Err(Closed))
    }

    /// Texts go both ways as binaries of UTF-8.
    pub(super) async fn prepare(&self) -> Result<(), Closed> {
        let options = list([tuple([atom("binary"), true.into()]), tuple([atom("encoding"), atom("unicode")])]);
        self.request(tuple([atom("setopts"), options])).await.map(|_| ())
    }
}

#[async_trait]
impl Terminal for GroupLeader {
    async fn print(&self, text: String) -> Result<(), Closed> {
        if text.is_empty() {
            return Ok(());
        }
        self.request(tuple([atom("put_chars"), atom("unicode"), binary(text)])).await.map(|_| ())
    }

    async fn read(&self, prompt: String) -> Result<Line, Closed> {
        let answer = self.request(tuple([atom("get_line"), atom("unicode"), binary(prompt)])).await?;
        Ok(match &answer {
            Term::Binary(bytes) => Line::Text(String::from_utf8_lossy(bytes).into_owned()),
            // A terminal that knows no binaries.
            Term::List(codes) => Line::Text(codes.iter().filter_map(character).collect()),
            other if other.is_atom("eof") => Line::End,
            Term::Tuple(parts) if parts.get(1).is_some_and(|why| why.is_atom("interrupted")) => Line::Interrupted,
            _ => Line::End,
        })
    }

    async fn columns(&self) -> usize {
        match self.request(tuple([atom("get_geometry"), atom("columns")])).await {
            Ok(Term::Int(columns)) => usize::try_from(columns).unwrap_or(80).clamp(20, 400),
            _ => 80,
        }
    }

    fn way_out(&self) -> Option<&'static str> {
        Some("this shell is on another node: leave it with Ctrl-\\, or with Ctrl-G and q\n")
    }
}

fn character(code: &Term) -> Option<char> {
    match code {
        Term::Int(code) => u32::try_from(*code).ok().and_then(char::from_u32),
        _ => None,
    }
}
