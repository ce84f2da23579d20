//! Registered servers that answer `GenServer.call` and `cast`.

use super::{Context, Raise};
use crate::term::Term;

/// A server's state behind a registered name. Calls answer at once; what must wait is a function, not a server.
pub trait GenServer: Send + Sync + 'static {
    /// Answers `GenServer.call(server, request)`; `None` where no clause matches: the caller gets an exit
    /// `{:function_clause, ...}` and the server lives on.
    ///
    /// # Errors
    /// The request is refused: the caller gets an exit with what was raised.
    fn call(&self, context: &Context, request: &Term) -> Result<Option<Term>, Raise>;

    /// Takes `GenServer.cast(server, message)`; what it does not know is logged by the node and dropped.
    fn cast(&self, _message: &Term) -> bool {
        false
    }

    /// The state as `:sys.get_state` shows it.
    fn state(&self) -> Term;

    /// The module whose name a `:sys.get_status` shows.
    fn module(&self) -> &'static str;
}
