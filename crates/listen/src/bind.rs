//! Binding the socket of a port in the network, by the rules of Go's `net.Listen`.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use rustix::net::sockopt::{set_ipv6_v6only, set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system queues while none is accepted, if its own limit is not lower.
pub(crate) const LISTEN_BACKLOG: u32 = 65_535;
/// Silence of a connection after which the system probes whether the other side is there; etcd's.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Time between two such probes; Go's.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Settings of a listening socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// Set `SO_REUSEPORT`: other sockets may be bound to the same port.
    pub reuse_port: bool,
}

/// An address that can't be listened on. The texts are Go's.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The text is not `host:port`.
    #[error("listen tcp: address {0}: missing port in address")]
    Address(String),
    /// The name has no address.
    #[error("listen tcp: lookup {host}: {}", lookup_text(.error))]
    Lookup {
        /// The name.
        host: String,
        /// Why. Its text is part of this one's.
        error: io::Error,
    },
    /// The system rejects the socket.
    #[error("listen tcp {address}: {call}: {}", system_text(.error))]
    System {
        /// The address.
        address: String,
        /// The system call.
        call: &'static str,
        /// Why. Its text is part of this one's.
        error: io::Error,
    },
}

/// Binds a socket to `host:port` and listens. Needs a tokio runtime; a name is looked up on the calling thread.
///
/// `0.0.0.0`, `[::]` and no host at all mean every address of both families, or of IPv4 where the system has no IPv6
/// that carries both. Of the addresses of a name the first of IPv4 counts.
pub fn bind(address: &str, options: SocketOptions) -> Result<TcpListener, BindError> {
    let local = Local::resolve(address)?;
    let failed = |call| {
        let address = local.to_string();
        move |error| BindError::System { address, call, error }
    };
    let (socket, address) = local.socket().map_err(failed("socket"))?;
    configure(&socket, options).map_err(failed("setsockopt"))?;
    socket.bind(address).map_err(failed("bind"))?;
    socket.listen(LISTEN_BACKLOG).map_err(failed("listen"))
}

fn configure(socket: &TcpSocket, options: SocketOptions) -> io::Result<()> {
    // As Go does: a restart must not wait for the connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(options.reuse_port)?;
    // Accepted sockets inherit these.
    set_socket_keepalive(socket, true)?;
    set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
    Ok(())
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Local {
    /// `None` for every address.
    ip: Option<IpAddr>,
    port: u16,
    /// Whether the text had a host.
    has_host: bool,
}

impl Local {
    fn resolve(text: &str) -> Result<Self, BindError> {
        let missing = || BindError::Address(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(missing)?;
        let port = port.parse().map_err(|_| missing())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let ip = if host.is_empty() { Ipv4Addr::UNSPECIFIED.into() } else { look_up(host)?.to_canonical() };
        Ok(Self { ip: Some(ip).filter(|ip| !ip.is_unspecified()), port, has_host: !host.is_empty() })
    }

    /// A socket of the right family, and what it is to be bound to.
    fn socket(self) -> io::Result<(TcpSocket, SocketAddr)> {
        let ip = match self.ip {
            Some(ip) => ip,
            None if carries_both() => Ipv6Addr::UNSPECIFIED.into(),
            None => Ipv4Addr::UNSPECIFIED.into(),
        };
        let socket = if ip.is_ipv4() { TcpSocket::new_v4()? } else { dual_stack()? };
        Ok((socket, SocketAddr::new(ip, self.port)))
    }
}

/// As Go shows it, for which both kinds of "every address" are the same.
impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.has_host {
            return write!(f, ":{}", self.port);
        }
        SocketAddr::new(self.ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), self.port).fmt(f)
    }
}

fn look_up(host: &str) -> Result<IpAddr, BindError> {
    if let Ok(ip) = host.parse() {
        return Ok(ip);
    }
    let failed = |error| BindError::Lookup { host: host.to_owned(), error };
    let found: Vec<IpAddr> = (host, 0).to_socket_addrs().map_err(failed)?.map(|found| found.ip()).collect();
    let chosen = found.iter().find(|ip| ip.is_ipv4()).or(found.first());
    chosen.copied().ok_or_else(|| failed(io::ErrorKind::AddrNotAvailable.into()))
}

/// Whether an IPv6 socket takes connections over IPv4 as well. A machine without IPv4 has no other socket.
fn carries_both() -> bool {
    let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), 0);
    dual_stack().is_ok_and(|socket| socket.bind(mapped).is_ok()) || TcpSocket::new_v4().is_err()
}

/// An IPv6 socket that takes IPv4 too, whatever the system's default is.
fn dual_stack() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v6()?;
    set_ipv6_v6only(&socket, false)?;
    Ok(socket)
}

/// The error of the system as Go has it.
pub(crate) fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The error of the name service as Go has it, as far as that can be known.
fn lookup_text(error: &io::Error) -> String {
    let text = error.to_string();
    let reason = text.rsplit(": ").next().unwrap_or_default();
    match reason {
        "Name or service not known" | "No address associated with hostname" => "no such host".to_owned(),
        other => system_text(&io::Error::other(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_error(address: &str, expected: &str) {
        let error = bind(address, SocketOptions::default()).expect_err(address);
        assert_eq!(error.to_string(), expected);
    }

    #[tokio::test]
    async fn errors_read_as_in_go() {
        check_error("192.0.2.1:0", "listen tcp 192.0.2.1:0: bind: cannot assign requested address");
        check_error("no..name:1", "listen tcp: lookup no..name: no such host");
        check_error("127.0.0.1", "listen tcp: address 127.0.0.1: missing port in address");
        let taken = bind("127.0.0.1:0", SocketOptions::default()).expect("a free port");
        let port = taken.local_addr().expect("it is bound").port();
        for (host, shown) in [
            ("127.0.0.1", "127.0.0.1"),
            ("localhost", "127.0.0.1"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
            ("0.0.0.0", "0.0.0.0"),
            ("[::]", "0.0.0.0"),
            ("", ""),
        ] {
            let expected = format!("listen tcp {shown}:{port}: bind: address already in use");
            check_error(&format!("{host}:{port}"), &expected);
        }
        let denied = io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
        assert_eq!(system_text(&denied), "permission denied");
    }

    #[tokio::test]
    async fn every_address_means_both_families() {
        let both = carries_both();
        for address in ["0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0", ":0"] {
            let bound =
                bind(address, SocketOptions::default()).expect(address).local_addr().expect("it is bound");
            let expected: IpAddr =
                if both { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
            assert_eq!(bound.ip(), expected, "{address}");
        }
        for address in ["127.0.0.1:0", "localhost:0"] {
            let bound =
                bind(address, SocketOptions::default()).expect(address).local_addr().expect("it is bound");
            assert_eq!(bound.ip(), Ipv4Addr::LOCALHOST, "{address}");
        }
    }
}
