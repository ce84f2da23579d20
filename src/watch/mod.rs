//! Whether applications are well, and whether requests are led to them.

mod exit;
mod health;
mod logs;
mod ready;
mod routes;

pub use health::{Check, ExpectedStatus, Retry, Verdict, check, check_with_retry};
pub use logs::{
    BadCursor, Cursor, Life, LogError, LogItem, LogLine, LogRequest, LogStream, Logs, Went, keep as keep_log,
};
pub use ready::{NotReady, Readiness, Why, wait_ready};
pub use routes::keep_routes;
