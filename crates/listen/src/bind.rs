//! Binding the socket of a port.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system queues while none is accepted.
const LISTEN_BACKLOG: u32 = 1024;

/// Settings of a listening socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// Set `SO_REUSEPORT`: other sockets may be bound to the same port.
    pub reuse_port: bool,
}

/// Binds a socket and listens. Needs a tokio runtime; a name is looked up on the calling thread.
///
/// # Errors
/// When the name has no address, or the system rejects the socket.
pub fn bind(address: impl ToSocketAddrs, options: SocketOptions) -> io::Result<TcpListener> {
    let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    let first = addresses.first().ok_or(io::ErrorKind::AddrNotAvailable)?;
    // `localhost` is both 127.0.0.1 and ::1 on most machines; clients try the former first.
    let address = addresses.iter().find(|address| address.is_ipv4()).unwrap_or(first);
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As Go does: a restart must not wait for the connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(options.reuse_port)?;
    socket.bind(*address)?;
    socket.listen(LISTEN_BACKLOG)
}
