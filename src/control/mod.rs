//! The agent's own socket, `control.sock` in its data directory: how commands of this machine reach the running agent,
//! whatever the cluster, its names and its certificates do. Who may open it may do all; it is its user's alone (0600).
//!
//! Each connection is a shell of its own, in a process of the node. Both sides send terms, each behind its length:
//!
//! ```text
//! {eval, Line}     -> {output, Text} as often as it prints, then {value, Term, Shown}, more, nothing or {error, Text}
//! {complete, Line} -> {completion, Insert, Candidates}
//! prompt           -> {prompt, Text}
//! forget           -> what was begun is forgotten
//! follow           -> from here on what is sent to the shell's process comes as {message, Term}
//! {columns, N}     -> lines have so many columns
//! ```

mod client;
mod message;
mod server;

pub use crate::shell::leaves;
pub use client::{Client, ClientError, socket_of};
pub use message::{Answer, Request};
pub use server::{Server, ServerError};
