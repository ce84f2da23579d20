//! The errors of the host, as Elixir gets them.

use crate::host::{ProxyError, RuntimeError};
use crate::term::{Atom, Term, atom, binary, elixir, tuple};

use super::json;

/// An engine's error. What an operator can do about it is logged.
pub(super) fn runtime(error: &RuntimeError) -> Term {
    if matches!(error, RuntimeError::Transport { .. }) {
        tracing::warn!("{error}; start the engine, or set CONTAINER_SOCKET to its socket");
    }
    match error {
        RuntimeError::NotFound { .. } => atom("not_found"),
        RuntimeError::NoPort { .. } => atom("no_port_mapping"),
        RuntimeError::Http { status, body, .. } => {
            tuple([atom("http_error"), Term::from(*status), json::to_term(body)])
        }
        // A struct of the HTTP library that the agent's forerunner used; its callers match on it.
        RuntimeError::Transport { reason, .. } => {
            elixir::exception("Elixir.Req.TransportError", [("reason", posix(reason))])
        }
        RuntimeError::Build { reason, .. } => tuple([atom("build_error"), binary(reason.as_str())]),
        RuntimeError::File { reason, .. } => tuple([atom("file_read_error"), posix(reason)]),
        RuntimeError::Unit { reason, .. } => tuple([atom("unit_failed"), binary(reason.as_str())]),
        RuntimeError::Unsupported { reason, .. } => tuple([atom("unsupported"), binary(reason.as_str())]),
        RuntimeError::Archive { reason, .. } => tuple([atom("invalid_archive"), binary(reason.as_str())]),
        RuntimeError::Answer { reason, .. } => tuple([atom("invalid_response"), binary(reason.as_str())]),
    }
}

/// Caddy's error. What an operator can do about it is logged.
pub(super) fn proxy(error: &ProxyError) -> Term {
    if matches!(error, ProxyError::Unavailable { .. } | ProxyError::Timeout { .. }) {
        tracing::warn!("{error}; start Caddy, or set CADDY_ADMIN_URL to its admin API");
    }
    match error {
        ProxyError::Unavailable { .. } => atom("caddy_unavailable"),
        ProxyError::Timeout { .. } => atom("timeout"),
        ProxyError::RequestFailed { .. } | ProxyError::Files { .. } => atom("request_failed"),
        ProxyError::NotFound { .. } => atom("not_found"),
        ProxyError::UnexpectedStatus { status, body } => {
            tuple([atom("unexpected_status"), Term::from(*status), json::to_term(body)])
        }
    }
}

/// A POSIX name as an atom.
pub(super) fn posix(name: &str) -> Term {
    Atom::new(name).map_or(atom("unknown"), Term::Atom)
}

/// A reason of the system as the atom Erlang has for it.
pub(super) fn io(error: &std::io::Error) -> Term {
    io_kind(error.kind())
}

/// The same of its kind.
pub(super) fn io_kind(kind: std::io::ErrorKind) -> Term {
    use std::io::ErrorKind;
    atom(match kind {
        ErrorKind::NotFound => "enoent",
        ErrorKind::PermissionDenied => "eacces",
        ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => "eexist",
        ErrorKind::NotADirectory => "enotdir",
        ErrorKind::IsADirectory => "eisdir",
        ErrorKind::StorageFull => "enospc",
        ErrorKind::ReadOnlyFilesystem => "erofs",
        ErrorKind::InvalidInput => "einval",
        ErrorKind::WouldBlock => "ebusy",
        _ => "eio",
    })
}
