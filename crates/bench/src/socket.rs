//! Reading and writing as far as the system takes part.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use crate::Outcome;

/// Reads once. `None` if there is nothing yet.
pub(crate) fn read(socket: &mut TcpStream, into: &mut [u8]) -> Outcome<Option<usize>> {
    match socket.read(into) {
        Ok(0) => Err("the server closed a connection".into()),
        Ok(n) => Ok(Some(n)),
        Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes as much as the socket takes, and leaves the rest.
pub(crate) fn write(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> Outcome<()> {
    let mut written = 0;
    while written < bytes.len() {
        match socket.write(&bytes[written..]) {
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.drain(..written);
    Ok(())
}
