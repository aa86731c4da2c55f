//! The systemd journal's native protocol: a datagram of `KEY=value` lines.

use std::io;
use std::os::unix::net::UnixDatagram;

use crate::Severity;

const SOCKET: &str = "/run/systemd/journal/socket";

/// A connection to the journal. Sending does not wait: what the journal can't take is lost.
pub(super) struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    pub(super) fn connect() -> io::Result<Self> {
        Self::connect_to(SOCKET)
    }

    fn connect_to(path: &str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Sends a message without line breaks.
    pub(super) fn send(&self, severity: Severity, message: &str) -> io::Result<()> {
        let priority = severity.priority();
        let datagram = format!("PRIORITY={priority}\nSYSLOG_IDENTIFIER=ferretcd\nMESSAGE={message}\n");
        self.socket.send(datagram.as_bytes()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_datagram() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::connect_to(path.to_str().unwrap()).unwrap();
        journal.send(Severity::Warn, "{}").unwrap();
        let mut buffer = [0; 100];
        let n = receiver.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..n], *b"PRIORITY=4\nSYSLOG_IDENTIFIER=ferretcd\nMESSAGE={}\n");
    }
}
