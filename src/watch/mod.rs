//! Whether applications are well, and whether requests are led to them.

mod events;
mod exit;
mod health;
mod live;
mod logs;
mod monitor;
mod ready;
mod routes;
mod status;

pub use events::{About, Event, Events, Gone, What};
pub use health::{Check, ExpectedStatus, Retry, Verdict, check, check_with_retry};
pub use live::{ContainerSeen, EngineSeen, Live};
pub use logs::{
    BadCursor, Cursor, Life, LogError, LogItem, LogLine, LogRequest, LogStream, Logs, Went, keep as keep_log,
};
pub use monitor::{AppHealth, Condition, ContainerPlace, Monitor, OnUnhealthy, TooMany, Watched};
pub use ready::{NotReady, Readiness, Why, wait_ready};
pub use routes::keep_routes;
pub use status::{AppDoes, AppNow, CLASSES, Counts, Figures, Histogram, MachineSeen, Seen, Tally, UsageSeen};
