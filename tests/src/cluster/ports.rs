//! Free ports for servers that must know them before they bind them.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// The two ports of a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) client: u16,
    pub(crate) peer: u16,
}

impl Ports {
    /// Two ports that were free a moment ago. Another process may take them first: callers retry.
    pub(crate) fn free() -> io::Result<Self> {
        // Both are held until both are known, so that they differ.
        let client = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let peer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self { client: client.local_addr()?.port(), peer: peer.local_addr()?.port() })
    }

    pub(crate) fn client_url(self) -> String {
        format!("http://127.0.0.1:{}", self.client)
    }

    pub(crate) fn peer_url(self) -> String {
        format!("http://127.0.0.1:{}", self.peer)
    }
}
