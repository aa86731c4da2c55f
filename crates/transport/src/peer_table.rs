//! The table of all peers of a member.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use ferretcd_api_proto::raftpb::MessageType;
use ferretcd_base::MemberId;
use ferretcd_engine::PeerError;
use ferretcd_membership::Membership;
use ferretcd_raft_node::Message;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tracing::{debug, info};

use crate::config::Config;
use crate::convert;
use crate::local_context::LocalContext;
use crate::local_member::{LocalMember, PeerReport};
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::peer_tasks::{PeerKind, PeerTasks};

/// Peers that claim to be members and are not, at most.
const REMOTES_MAX: usize = 64;

/// All peers of a member and the context of their connections.
pub(crate) struct PeerTable {
    pub(crate) config: Config,
    metrics: Metrics,
    runtime: Handle,
    /// The last known members.
    membership: Arc<RwLock<Membership>>,
    /// Read without a lock, so that a callback during a send may read it again.
    current: ArcSwap<Entries>,
    /// Held while the table is replaced.
    changing: Mutex<()>,
    /// Counts the requests of remotes.
    n_seen: AtomicU64,
}

#[derive(Clone, Default)]
struct Entries {
    local: Option<Arc<LocalContext>>,
    /// All members but the local one, once that is attached.
    members: BTreeMap<MemberId, Arc<PeerTasks>>,
    /// At most [`REMOTES_MAX`].
    remotes: BTreeMap<MemberId, Arc<Remote>>,
}

/// A peer that claims to be a member and is not known as one.
struct Remote {
    tasks: PeerTasks,
    /// The number of its last request.
    last_seen: AtomicU64,
}

impl Entries {
    fn peer(&self, id: MemberId) -> Option<&Arc<Peer>> {
        let member = self.members.get(&id).map(|tasks| &tasks.peer);
        member.or_else(|| self.remotes.get(&id).map(|remote| &remote.tasks.peer))
    }

    /// Makes room for one more remote: drops the one whose last request is the oldest. So invented ids displace a real
    /// member only until its next request.
    fn evict_remote(&mut self) {
        if self.remotes.len() < REMOTES_MAX {
            return;
        }
        let oldest = self.remotes.iter().min_by_key(|(_, remote)| remote.last_seen.load(Ordering::Relaxed));
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.remotes.remove(&id);
        }
    }
}

impl PeerTable {
    pub(crate) fn new(config: Config, metrics: Metrics, runtime: Handle) -> Self {
        Self {
            config,
            metrics,
            runtime,
            membership: Arc::default(),
            current: ArcSwap::default(),
            changing: Mutex::default(),
            n_seen: AtomicU64::default(),
        }
    }

    /// Connects to the members in the list, on behalf of `member`. Once.
    pub(crate) fn attach(&self, member: Arc<dyn LocalMember>) {
        let membership = Arc::clone(&self.membership);
        // The connection pools start tasks of their own.
        let _runtime = self.runtime.enter();
        let local = LocalContext::new(member, self.config.clone(), self.metrics.clone(), membership);
        self.change(|entries| {
            assert!(entries.local.is_none(), "a transport works for one member");
            entries.local = Some(Arc::new(local));
            self.reconcile(entries);
        });
    }

    /// Ends all connections and drops the member.
    pub(crate) fn clear(&self) {
        self.change(|entries| *entries = Entries::default());
    }

    /// Where the tasks of all connections run.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The local member, once it is attached.
    pub(crate) fn local(&self) -> Option<Arc<LocalContext>> {
        self.current.load().local.clone()
    }

    /// The peer with this id if it is a member.
    pub(crate) fn member(&self, id: MemberId) -> Option<Arc<Peer>> {
        self.current.load().members.get(&id).map(|tasks| Arc::clone(&tasks.peer))
    }

    /// The peer with this id, a member or a remote.
    pub(crate) fn peer(&self, id: MemberId) -> Result<Arc<Peer>, PeerError> {
        let peer = self.current.load().peer(id).cloned();
        peer.ok_or_else(|| PeerError::Unreachable(format!("member {id} is not known")))
    }

    pub(crate) fn active_since(&self, id: MemberId) -> Option<Instant> {
        self.member(id)?.status.since()
    }

    pub(crate) fn send(&self, messages: Vec<Message>) {
        let entries = self.current.load();
        for message in messages {
            let to = message.to();
            match entries.peer(to) {
                Some(peer) => peer.send(convert::to_wire(message)),
                None => {
                    debug!(
                        r#type = message.kind(),
                        "unknown-target-peer-id" = %to,
                        "ignored message send request; unknown remote peer target"
                    );
                    let is_snapshot = convert::to_wire(message).r#type() == MessageType::MsgSnap;
                    // The core waits for the report.
                    if let Some(local) = entries.local.as_ref().filter(|_| is_snapshot) {
                        local.member.report(PeerReport::Snapshot { to, is_sent: false });
                    }
                }
            }
        }
    }

    pub(crate) fn set_members(&self, membership: &Membership) {
        *self.membership.write() = membership.clone();
        self.change(|entries| self.reconcile(entries));
    }

    /// Adds a peer that claims to be a member, or updates its URLs. The local member may be the one that is behind, and
    /// then it must be able to respond.
    pub(crate) fn add_remote(&self, id: MemberId, urls: &[String]) {
        let entries = self.current.load();
        let is_member = entries.members.contains_key(&id);
        if urls.is_empty() || is_member || self.membership.read().is_removed(id) {
            return;
        }
        let seen = self.n_seen.fetch_add(1, Ordering::Relaxed);
        if let Some(remote) = entries.remotes.get(&id) {
            remote.last_seen.store(seen, Ordering::Relaxed);
            // An impostor may have sent the earlier URLs.
            remote.tasks.peer.urls.set(urls);
            return;
        }
        self.change(|entries| {
            let Some(local) = entries.local.clone() else { return };
            if id == local.id || entries.peer(id).is_some() {
                return;
            }
            entries.evict_remote();
            let tasks = PeerTasks::start(&local, id, urls, PeerKind::Remote, &self.runtime);
            entries.remotes.insert(id, Arc::new(Remote { tasks, last_seen: seen.into() }));
            debug!(
                "local-member-id" = %local.id,
                "remote-peer-id" = %id,
                "remote-peer-urls[]" = ?urls,
                "added new remote peer"
            );
        });
    }

    /// Replaces the table. Connections that the new one lacks end when the last reader drops the old one.
    fn change(&self, change: impl FnOnce(&mut Entries)) {
        let _changing = self.changing.lock();
        let mut entries = Entries::clone(&self.current.load());
        change(&mut entries);
        self.current.store(Arc::new(entries));
    }

    /// Brings the connections in line with the members.
    fn reconcile(&self, entries: &mut Entries) {
        let Some(local) = entries.local.clone() else { return };
        let membership = self.membership.read();
        self.drop_removed(entries, &local, &membership);
        if membership.member(local.id).is_some() {
            self.metrics.set_known(local.id, local.id, true);
        }
        for member in membership.members().filter(|member| member.id != local.id) {
            let urls = &member.peer_urls;
            if let Some(tasks) = entries.members.get(&member.id) {
                if tasks.peer.urls.set(urls) {
                    info!(
                        "local-member-id" = %local.id,
                        "updated-remote-peer-id" = %member.id,
                        "updated-remote-peer-urls[]" = ?urls,
                        "updated remote peer"
                    );
                }
                continue;
            }
            let tasks = PeerTasks::start(&local, member.id, urls, PeerKind::Member, &self.runtime);
            entries.members.insert(member.id, Arc::new(tasks));
            self.metrics.set_known(local.id, member.id, true);
            info!(
                "local-member-id" = %local.id,
                "remote-peer-id" = %member.id,
                "remote-peer-urls[]" = ?urls,
                "added remote peer"
            );
        }
    }

    fn drop_removed(&self, entries: &mut Entries, local: &LocalContext, membership: &Membership) {
        entries.members.retain(|id, _| {
            let is_member = membership.member(*id).is_some();
            if !is_member {
                self.metrics.set_known(local.id, *id, false);
                info!("local-member-id" = %local.id, "removed-remote-peer-id" = %id, "removed remote peer");
            }
            is_member
        });
        entries.remotes.retain(|id, _| membership.member(*id).is_none() && !membership.is_removed(*id));
    }
}
