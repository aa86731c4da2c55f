//! The member at the other end of a connection.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

/// The member that has opened a connection; none if it was no member. Reads the kernel's tables of sockets and of the
/// descriptors of child processes, because nothing in a request identifies its sender reliably.
pub(super) fn of(socket: &TcpStream, pids: &BTreeMap<usize, u32>) -> io::Result<Option<usize>> {
    let sockets = fs::read_to_string("/proc/net/tcp")?;
    let ends = (written(socket.peer_addr()?), written(socket.local_addr()?));
    let Some(inode) = sockets.lines().find_map(|line| inode(line, &ends)) else { return Ok(None) };
    let wanted = format!("socket:[{inode}]");
    let has_it = |pid: &u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        descriptors.flat_map(|fd| fs::read_link(fd.path())).any(|link| link.as_os_str() == &*wanted)
    };
    Ok(pids.iter().find(|(_, pid)| has_it(pid)).map(|(number, _)| *number))
}

/// The inode in a line of `/proc/net/tcp`, if it is the line of the socket with these ends.
fn inode<'a>(line: &'a str, (own, other): &(String, String)) -> Option<&'a str> {
    let mut words = line.split_whitespace().skip(1);
    (words.next()? == own && words.next()? == other).then_some(())?;
    words.nth(6)
}

/// An address as `/proc/net/tcp` writes it.
fn written(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => {
            format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
        }
        // Members have no other addresses.
        SocketAddr::V6(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_caller_is_identified_by_its_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let _caller = TcpStream::connect(address).await.expect("the listener is bound");
        let (socket, _) = listener.accept().await.expect("a client has connected");
        let pids = BTreeMap::from([(3, 1), (7, std::process::id())]);
        assert_eq!(of(&socket, &pids).expect("the kernel lists sockets"), Some(7));
        assert_eq!(of(&socket, &BTreeMap::new()).expect("the kernel lists sockets"), None);
    }

    #[test]
    fn lines_are_read() {
        let line = "   1: 0100007F:0FA0 0208097F:094C 01 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 20";
        let ends = ("0100007F:0FA0".to_owned(), "0208097F:094C".to_owned());
        assert_eq!(inode(line, &ends), Some("4711"));
        assert_eq!(inode(line, &(ends.1, ends.0)), None);
    }
}
