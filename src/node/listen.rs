//! Listening sockets, on both families of addresses, and what they accept.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::seats::{Seat, Seats};
use crate::limits;

/// Opens a port: on all addresses of both families if none is given.
pub(super) fn open(bind: Option<IpAddr>, port: u16) -> io::Result<TcpListener> {
    let Some(address) = bind else {
        return match open_at(IpAddr::from(Ipv6Addr::UNSPECIFIED), port) {
            Err(e) if is_no_address(&e) => open_at(IpAddr::from(Ipv4Addr::UNSPECIFIED), port),
            opened => opened,
        };
    };
    open_at(address, port)
}

/// `::` means the addresses of both families.
fn open_at(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::from((address, port));
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(limits::ACCEPT_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// This machine has no such address, or none of its family.
pub(super) fn is_no_address(e: &io::Error) -> bool {
    let no_family = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    matches!(e.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::NetworkUnreachable)
        || e.raw_os_error() == Some(no_family)
}

/// Accepts connections of one socket, come what may.
pub(super) struct Acceptor {
    socket: TcpListener,
    /// When a failure was logged last.
    told: Option<Instant>,
}

impl Acceptor {
    pub(super) fn new(socket: TcpListener) -> Self {
        Self { socket, told: None }
    }

    /// The next connection, and its seat.
    pub(super) async fn next(&mut self, seats: &Seats) -> (TcpStream, Seat) {
        loop {
            match self.socket.accept().await {
                Ok((stream, from)) => return (stream, seats.enter(from.ip().to_canonical()).await),
                // Out of file descriptors or memory: wait a moment instead of spinning.
                Err(e) => {
                    if self.told.is_none_or(|told| told.elapsed() >= limits::FAILURE_LOG) {
                        tracing::error!("cannot accept connections: {e}");
                        self.told = Some(Instant::now());
                    }
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether the other end of a connection is this machine, as EPMD sees it.
pub(super) fn is_local(stream: &TcpStream) -> bool {
    let (Ok(peer), Ok(own)) = (stream.peer_addr(), stream.local_addr()) else { return false };
    is_own(peer.ip(), own.ip())
}

/// A peer's address is a loopback address, or that of this end.
fn is_own(peer: IpAddr, own: IpAddr) -> bool {
    let peer = peer.to_canonical();
    peer.is_loopback() || peer == own.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_socket_takes_both_families_and_names_peers_by_their_own_addresses() {
        let socket = open(None, 0).unwrap();
        let port = socket.local_addr().unwrap().port();
        let (mut acceptor, seats) = (Acceptor::new(socket), Seats::new(1));
        for address in
            [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into(), Ipv4Addr::new(127, 0, 0, 9).into()]
        {
            let connected = TcpStream::connect((address, port)).await.unwrap();
            let (stream, seat) = acceptor.next(&seats).await;
            assert_eq!(seat.from, connected.local_addr().unwrap().ip());
            assert!(is_local(&stream), "{address}");
        }
    }

    #[test]
    fn a_peer_is_local_by_its_address_alone() {
        let own = |peer: &str, own: &str| is_own(peer.parse().unwrap(), own.parse().unwrap());
        assert!(own("127.0.0.9", "127.0.0.1") && own("::1", "::1") && own("::ffff:127.0.0.1", "::ffff:127.0.0.1"));
        assert!(own("10.0.0.5", "10.0.0.5") && own("::ffff:10.0.0.5", "10.0.0.5"));
        assert!(!own("10.0.0.6", "10.0.0.5") && !own("2001:db8::2", "2001:db8::1"));
        assert!(!own("10.0.0.5", "127.0.0.1"), "as for EPMD");
    }

    #[tokio::test]
    async fn an_address_is_listened_on_alone() {
        let socket = open(Some(Ipv6Addr::LOCALHOST.into()), 0).unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_told_from_one_that_is_in_use() {
        let elsewhere = open(Some("2001:db8::1".parse().unwrap()), 0).unwrap_err();
        assert!(is_no_address(&elsewhere), "{elsewhere}");
        let taken = open(None, 0).unwrap();
        let port = taken.local_addr().unwrap().port();
        let refused = open(Some(Ipv4Addr::LOCALHOST.into()), port).unwrap_err();
        assert!(!is_no_address(&refused) && refused.kind() == io::ErrorKind::AddrInUse, "{refused}");
    }
}
