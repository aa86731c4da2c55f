//! The sockets of a port, over TCP or in the file system.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixStream, tcp, unix};

use crate::socket_file::UnixSocket;

/// Bytes that the system holds of a response and has not sent, at most; it takes further ones at half of that. By itself
/// it would hold four megabytes for a client that does not read. What is on its way does not count, so that a long line
/// is as full as without the bound, and on the loopback device the throughput is the same with a quarter of this. Of a
/// Unix socket it holds some 200 KiB.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// Where a port listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Of the network.
    Tcp(SocketAddr),
    /// The path of a Unix socket, as it was given.
    Unix(PathBuf),
}

impl Address {
    /// The address of the network, if it is one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A socket that listens: from [`bind`](crate::bind) or [`bind_unix`](crate::bind_unix).
#[derive(Debug)]
pub enum Bound {
    /// Of the network.
    Tcp(TcpListener),
    /// In the file system.
    Unix(UnixSocket),
}

impl From<TcpListener> for Bound {
    fn from(socket: TcpListener) -> Self {
        Self::Tcp(socket)
    }
}

impl From<UnixSocket> for Bound {
    fn from(socket: UnixSocket) -> Self {
        Self::Unix(socket)
    }
}

impl Bound {
    pub(crate) fn address(&self) -> io::Result<Address> {
        Ok(match self {
            Self::Tcp(socket) => Address::Tcp(socket.local_addr()?),
            Self::Unix(socket) => Address::Unix(socket.path().to_owned()),
        })
    }

    /// The next connection, and the address of the network that it comes from.
    pub(crate) async fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            Self::Tcp(socket) => {
                let (socket, remote) = socket.accept().await?;
                // Over IPv4, a socket of both families has IPv6 addresses that stand for those of IPv4.
                let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                Ok((Socket::Tcp(socket), Some(remote)))
            }
            // Clients have no name of their own.
            Self::Unix(socket) => Ok((Socket::Unix(socket.accept().await?), None)),
        }
    }
}

/// A connection: its bytes as they are on the wire.
#[derive(Debug)]
pub enum Socket {
    /// Over the network.
    Tcp(TcpStream),
    /// Within the machine.
    Unix(UnixStream),
}

/// The half of a [`Socket`] that is read.
#[derive(Debug)]
pub(crate) enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

/// The half of a [`Socket`] that is written.
#[derive(Debug)]
pub(crate) enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

impl Socket {
    /// Has the system send at once what is written.
    pub(crate) fn send_at_once(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Whether both ends are addresses that only this machine has. One that it has in a network does not count, although
    /// connections within the machine may be to such a one.
    pub(crate) fn is_local(&self) -> bool {
        let is_loopback =
            |address: io::Result<SocketAddr>| address.is_ok_and(|it| it.ip().to_canonical().is_loopback());
        match self {
            Self::Tcp(socket) => is_loopback(socket.local_addr()) && is_loopback(socket.peer_addr()),
            Self::Unix(_) => true,
        }
    }

    /// The address that the client has connected to; `None` within the machine.
    pub(crate) fn server(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => {
                let server = socket.local_addr().ok()?;
                Some(SocketAddr::new(server.ip().to_canonical(), server.port()))
            }
            Self::Unix(_) => None,
        }
    }

    /// Bounds what the system holds for a client that does not read.
    pub(crate) fn limit_unsent(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES_MAX),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Waits for bytes and copies some of them, which stay to be read. None at the end of the connection.
    pub(crate) async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.peek(bytes).await,
            Self::Unix(socket) => {
                let peek = || Ok(recv(socket, &mut *bytes, RecvFlags::PEEK)?.0);
                socket.async_io(Interest::READABLE, peek).await
            }
        }
    }

    pub(crate) fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Tcp(socket) => {
                let (read, write) = socket.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            Self::Unix(socket) => {
                let (read, write) = socket.into_split();
                (ReadHalf::Unix(read), WriteHalf::Unix(write))
            }
        }
    }
}

impl WriteHalf {
    /// Has the end of the connection drop what the system has not sent. A Unix socket holds nothing of it but what its
    /// reader has got.
    pub(crate) fn drop_unsent_at_end(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => SockRef::from(socket.as_ref()).set_linger(Some(Duration::ZERO)),
            Self::Unix(_) => Ok(()),
        }
    }
}

/// Calls the same method of the socket that is inside.
macro_rules! inside {
    ($kind:ident, $socket:expr, $method:ident($($argument:expr),*)) => {
        match $socket.get_mut() {
            $kind::Tcp(socket) => Pin::new(socket).$method($($argument),*),
            $kind::Unix(socket) => Pin::new(socket).$method($($argument),*),
        }
    };
}

macro_rules! reads {
    ($kind:ident) => {
        impl AsyncRead for $kind {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                inside!($kind, self, poll_read(cx, buf))
            }
        }
    };
}

macro_rules! writes {
    ($kind:ident) => {
        impl AsyncWrite for $kind {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                inside!($kind, self, poll_write(cx, data))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                inside!($kind, self, poll_write_vectored(cx, slices))
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                inside!($kind, self, poll_flush(cx))
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                inside!($kind, self, poll_shutdown(cx))
            }
        }
    };
}

reads!(Socket);
reads!(ReadHalf);
writes!(Socket);
writes!(WriteHalf);
