//! Where members listen.

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// etcd's port for clients.
const CLIENT: u16 = 2379;
/// etcd's port for the other members.
pub(super) const PEER: u16 = 2380;
/// Where a member listens for the others when a proxy stands before it.
const BEHIND_PROXY: u16 = 2381;
/// Whoever listens here has the address for itself. Nobody connects to it.
const TAKEN: u16 = 2378;
const ATTEMPTS: usize = 100;

/// The addresses of one member.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) address: Ipv4Addr,
    /// Where it listens for the others.
    pub(super) peer_port: u16,
    /// They talk through TLS.
    pub(super) is_peer_secure: bool,
    /// Keeps the address from being taken by anybody else who asks this way.
    _taken: Option<TcpListener>,
}

impl Home {
    /// A loopback address without a proxy.
    pub(super) fn direct() -> io::Result<Self> {
        let (address, taken) = take([127])?;
        Ok(Self { address, peer_port: PEER, is_peer_secure: false, _taken: Some(taken) })
    }

    /// A loopback address with a proxy at the port that the others call.
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

    /// Where the others call.
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

/// A loopback address that begins with these bytes, taken for as long as the listener lives.
pub(super) fn take<const N: usize>(begin: [u8; N]) -> io::Result<(Ipv4Addr, TcpListener)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        let mut bytes = RandomState::new().build_hasher().finish().to_le_bytes();
        // 0 and 255 at the end look like a network's own, and low addresses are what others choose by hand.
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
