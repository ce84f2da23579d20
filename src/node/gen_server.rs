//! Registered servers that answer `GenServer.call` and `cast`.

use futures::future::BoxFuture;

use super::{Context, Node, Raise};
use crate::term::{Pid, Term};

/// A server's state behind a registered name. Calls answer at once; what must wait is a function, not a server.
pub trait GenServer: Send + Sync + 'static {
    /// Answers `GenServer.call(server, request)`; `None` where no clause matches: the server ends with `:function_clause` and
    /// is started anew.
    ///
    /// # Errors
    /// The request is refused: the server ends with what was raised.
    fn call(&self, context: &Context, request: &Term) -> Result<Option<Term>, Raise>;

    /// Answers a call later, where its answer must wait for something; `None` for all calls that [`GenServer::call`] answers.
    fn call_later(&self, _context: &Context, _request: &Term) -> Option<BoxFuture<'static, Term>> {
        None
    }

    /// Takes `GenServer.cast(server, message)`; `false` where no clause matches: then the server ends and is started anew.
    fn cast(&self, _message: &Term) -> bool {
        false
    }

    /// Whether exit signals do not end it, as with supervisors; `kill` does.
    fn traps_exits(&self) -> bool {
        false
    }

    /// The processes that it started and that are linked to it.
    fn children(&self, _node: &Node) -> Vec<Pid> {
        Vec::new()
    }

    /// It ended with this reason, and is started anew: what is linked to it ends too.
    fn ended(&self, _node: &Node, _reason: &Term) {}

    /// The state as `:sys.get_state` shows it.
    fn state(&self) -> Term;

    /// The module whose name a `:sys.get_status` shows.
    fn module(&self) -> &'static str;
}
