//! Ports for tests.

use std::net::TcpListener;

/// A port of this machine that nobody listens on, below those that the system gives to outgoing connections: none of them
/// can take it before it is used.
pub(crate) fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(10_240..20_000)).find(free).expect("a port is free")
}
