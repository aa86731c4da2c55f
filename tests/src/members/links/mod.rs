//! A proxy before each member, which knows the calling member.
//!
//! Data flows in both directions on each connection between two members, whichever side has opened it: etcd's message
//! streams are responses to requests of the receiver. So cutting a direction holds its data back on all connections
//! between the two members, and a connection is accepted only while both directions are open. Data that is held back
//! is not lost: as with retransmitted packets, it arrives when the link is open again, unless the connection was
//! closed meanwhile.

mod caller;
mod pump;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::home::{Home, PEER};

/// One direction between two members.
#[derive(Clone, Copy, Debug)]
struct Gate {
    is_open: bool,
    delay: Duration,
}

/// What all proxies of a cluster share.
#[derive(Debug, Default)]
struct Shared {
    /// By number of sender and receiver. Locked for one look.
    gates: Mutex<HashMap<(usize, usize), watch::Sender<Gate>>>,
    /// Process ids by number. Locked for one look.
    pids: Mutex<BTreeMap<usize, u32>>,
}

impl Shared {
    fn gate(&self, from: usize, to: usize) -> watch::Sender<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let open = Gate { is_open: true, delay: Duration::ZERO };
        gates.entry((from, to)).or_insert_with(|| watch::Sender::new(open)).clone()
    }
}

/// The proxies of a cluster. Dropping them ends all connections.
#[derive(Debug, Default)]
pub(super) struct Links {
    shared: Arc<Shared>,
    proxies: JoinSet<()>,
}

impl Links {
    /// New addresses with a proxy before them.
    pub(super) async fn settle(&mut self, number: usize) -> io::Result<Home> {
        let home = Home::behind_proxy()?;
        let listener = TcpListener::bind((home.address, PEER)).await?;
        let target = SocketAddr::from((home.address, home.peer_port));
        self.proxies.spawn(accept(listener, number, target, Arc::clone(&self.shared)));
        Ok(home)
    }

    /// Notes the process id of a member.
    pub(super) fn runs_as(&self, number: usize, pid: u32) {
        self.shared.pids.lock().unwrap_or_else(PoisonError::into_inner).insert(number, pid);
    }

    pub(super) fn set_open(&self, from: usize, to: usize, is_open: bool) {
        self.shared.gate(from, to).send_modify(|gate| gate.is_open = is_open);
    }

    pub(super) fn set_delay(&self, from: usize, to: usize, delay: Duration) {
        self.shared.gate(from, to).send_modify(|gate| gate.delay = delay);
    }

    pub(super) fn open_all(&self) {
        let gates = self.shared.gates.lock().unwrap_or_else(PoisonError::into_inner);
        for gate in gates.values() {
            gate.send_modify(|gate| gate.is_open = true);
        }
    }
}

async fn accept(listener: TcpListener, callee: usize, target: SocketAddr, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // The two ends of the connection report errors themselves.
            let _ = connect(socket, callee, target, &shared).await;
        });
    }
}

async fn connect(socket: TcpStream, callee: usize, target: SocketAddr, shared: &Shared) -> io::Result<()> {
    let pids = shared.pids.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(caller) = caller::of(&socket, &pids)? else {
        // The test itself, which always reaches all members.
        let open = watch::Sender::new(Gate { is_open: true, delay: Duration::ZERO });
        return pump::both(socket, TcpStream::connect(target).await?, open.subscribe(), open.subscribe())
            .await;
    };
    let (there, back) = (shared.gate(caller, callee), shared.gate(callee, caller));
    let (mut there, mut back) = (there.subscribe(), back.subscribe());
    while !(there.borrow().is_open && back.borrow().is_open) {
        let _ = there.wait_for(|gate| gate.is_open).await;
        let _ = back.wait_for(|gate| gate.is_open).await;
    }
    pump::both(socket, TcpStream::connect(target).await?, there, back).await
}
