//! The addresses of members.

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// etcd's client port.
const CLIENT: u16 = 2379;
/// etcd's peer port.
pub(super) const PEER: u16 = 2380;
/// The peer port of a member behind a proxy.
const BEHIND_PROXY: u16 = 2381;
/// Listening on this port reserves the address. No client connects to it.
const TAKEN: u16 = 2378;
const ATTEMPTS: usize = 100;

/// The addresses of one member.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) address: Ipv4Addr,
    /// The peer port it listens on.
    pub(super) peer_port: u16,
    /// Whether peers use TLS.
    pub(super) is_peer_secure: bool,
    /// Reserves the address among the clusters of these tests.
    _taken: Option<TcpListener>,
}

impl Home {
    /// A loopback address without a proxy.
    pub(super) fn direct() -> io::Result<Self> {
        let (address, taken) = take([127])?;
        Ok(Self { address, peer_port: PEER, is_peer_secure: false, _taken: Some(taken) })
    }

    /// A loopback address with a proxy at the port that peers connect to.
    pub(super) fn behind_proxy() -> io::Result<Self> {
        Ok(Self { peer_port: BEHIND_PROXY, ..Self::direct()? })
    }

    /// An address in a network of its own.
    pub(super) fn elsewhere(address: Ipv4Addr) -> Self {
        Self { address, peer_port: PEER, is_peer_secure: false, _taken: None }
    }

    pub(super) fn client_url(&self) -> String {
        format!("http://{}:{CLIENT}", self.address)
    }

    /// The URL that peers connect to.
    pub(super) fn peer_url(&self) -> String {
        self.url_for_peers(PEER)
    }

    pub(super) fn listen_peer_url(&self) -> String {
        self.url_for_peers(self.peer_port)
    }

    fn url_for_peers(&self, port: u16) -> String {
        let scheme = if self.is_peer_secure { "https" } else { "http" };
        format!("{scheme}://{}:{port}", self.address)
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// A loopback address that begins with these bytes, reserved for as long as the listener lives.
pub(super) fn take<const N: usize>(begin: [u8; N]) -> io::Result<(Ipv4Addr, TcpListener)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        let mut bytes = RandomState::new().build_hasher().finish().to_le_bytes();
        // 0 and 255 at the end look like network and broadcast addresses, and low addresses are often chosen by hand.
        bytes.iter_mut().for_each(|byte| *byte = 2 + *byte % 250);
        bytes[..N].copy_from_slice(&begin);
        let address = Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
        match TcpListener::bind((address, TAKEN)) {
            Ok(listener) => return Ok((address, listener)),
            Err(error) => last = error,
        }
    }
    Err(last)
}
