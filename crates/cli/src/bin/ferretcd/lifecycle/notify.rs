//! Notifying systemd that the service is ready.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::{error, info};

/// Notifies the supervisor behind `NOTIFY_SOCKET`, if there is one, that the member serves clients. Errors are only logged.
pub(crate) fn notify_ready() {
    info!("notifying init daemon");
    let result = match std::env::var_os("NOTIFY_SOCKET") {
        Some(socket) if !socket.is_empty() => send(&socket, b"READY=1"),
        _ => Ok(()),
    };
    match result {
        Ok(()) => info!("successfully notified init daemon"),
        Err(error) => error!(%error, "failed to notify systemd for readiness"),
    }
}

/// Sends a datagram to a socket; a name that starts with `@` is in the abstract name space.
fn send(socket: &OsStr, message: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message, &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(receiver: &UnixDatagram, socket: &OsStr) {
        send(socket, b"READY=1").unwrap();
        let mut buffer = [0; 20];
        let n = receiver.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..n], *b"READY=1");
    }

    #[test]
    fn sockets_are_paths_or_abstract_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        check(&UnixDatagram::bind(&path).unwrap(), path.as_os_str());
        let name = path.to_str().unwrap();
        let abstract_socket = SocketAddr::from_abstract_name(name).unwrap();
        check(&UnixDatagram::bind_addr(&abstract_socket).unwrap(), format!("@{name}").as_ref());
        assert!(send(directory.path().join("none").as_os_str(), b"READY=1").is_err());
    }
}
