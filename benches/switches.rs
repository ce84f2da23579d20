//! Switches of a route under load, on the Caddy of this machine and on the newest: how many requests of which clients fail, over
//! HTTP and HTTPS; then the same while other applications are added and removed, which changes Caddy's configuration.
//!
//! The same code as in `tests/switch.rs`, with larger numbers. `script/bench switches` runs it.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "the tables are what it is for; it ends where it cannot go on"
)]

#[path = "../tests/support/caddy.rs"]
mod caddy;
#[path = "../tests/support/ports.rs"]
mod ports;
#[path = "../tests/support/switching/mod.rs"]
mod switching;

use std::time::Duration;

use caddy::{NEW, OLD};
use switching::{Change, Plan};

const SWITCHES: Plan = Plan {
    version: OLD,
    https: false,
    change: Change::Switch,
    changes: 200,
    pause: Duration::from_millis(400),
    clients: 4,
};

const ADDITIONS: Plan = Plan { change: Change::Addition, changes: 50, ..SWITCHES };

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for plan in [SWITCHES, ADDITIONS] {
        for (version, https) in [(OLD, false), (NEW, false), (OLD, true), (NEW, true)] {
            let over = if https { "HTTPS" } else { "HTTP" };
            let what = if plan.change == Change::Switch { "switched" } else { "others added and removed" };
            println!("\n{what}, {version}, {over}");
            println!("{}", runtime.block_on(switching::run(Plan { version, https, ..plan })).table());
        }
    }
}
