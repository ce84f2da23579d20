//! A shell on the node: what `iex --remsh` opens, and what the command line evaluates.
//!
//! ```text
//! text -> lexer -> parser -> expressions -> eval -> library, or the node's tables
//!                                             -> value -> session (variables, history, prompt) -> terminal
//! ```
//!
//! It knows the Elixir that people type into a shell, and runs nothing but the functions of the node's tables and a library
//! of data to data: there is no way from here to the machine that a call by `rpc` does not have.

mod apart;
mod complete;
mod eval;
mod fault;
mod group_leader;
mod help;
mod lexer;
mod library;
mod manual;
mod meter;
mod missing;
mod parser;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod session;
mod start;
mod syntax;
mod terminal;
mod token;
mod value;

pub use complete::{Completion, complete};
pub use session::{Outcome, Session};
pub use start::{converse, leaves, modules};
pub use terminal::{Closed, Line, Terminal};
