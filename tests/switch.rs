//! Switches of a route on real Caddys, under all kinds of clients at once: nothing may fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]
#![allow(clippy::print_stderr, reason = "the counts are shown")]

#[path = "support/caddy.rs"]
mod caddy;
#[path = "support/ports.rs"]
mod ports;
#[path = "support/switching/mod.rs"]
mod switching;

use std::time::Duration;

use caddy::{NEW, OLD};
use switching::{Change, Plan};

/// Enough for a fault that shows once in some switches; the benchmark makes many more.
const SWITCHES: usize = 30;

const PLAN: Plan = Plan {
    version: OLD,
    https: false,
    change: Change::Switch,
    changes: SWITCHES,
    pause: Duration::from_millis(300),
    clients: 2,
};

async fn nothing_fails(version: &'static str, https: bool) {
    let report = switching::run(Plan { version, https, ..PLAN }).await;
    let table = report.table();
    eprintln!("{table}");
    assert_eq!(report.idle(), [""; 0]);
    assert_eq!(report.failures(), 0, "\n{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_fails_on_the_caddy_of_this_machine() {
    nothing_fails(OLD, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_fails_on_the_caddy_of_this_machine_over_https() {
    nothing_fails(OLD, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_fails_on_the_newest_caddy() {
    nothing_fails(NEW, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_fails_on_the_newest_caddy_over_https() {
    nothing_fails(NEW, true).await;
}

/// The configuration changes there, and connections that are being made are reset now and then; websockets go on.
#[tokio::test(flavor = "multi_thread")]
async fn another_application_cuts_no_websocket_on_the_newest_caddy() {
    let report = switching::run(Plan { version: NEW, change: Change::Addition, changes: 10, ..PLAN }).await;
    let table = report.table();
    eprintln!("{table}");
    assert_eq!(report.idle(), [""; 0]);
    assert_eq!(report.failures_of("websocket of another"), 0, "\n{table}");
}
