//! Everybody that this member talks with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use ferretcd_api_proto::raftpb::MessageType;
use ferretcd_base::MemberId;
use ferretcd_engine::{PeerError, PeerFuture, PeerRequest, PeerResponse, PeerSnapshot, Peers};
use ferretcd_membership::Membership;
use ferretcd_raft_node::Message;
use parking_lot::{Mutex, RwLock};
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::{debug, info};

use crate::link::{Link, StreamKind};
use crate::local_context::Local;
use crate::local_member::LocalMember;
use crate::local_member::PeerReport;
use crate::metrics::Metrics;
use crate::peer::{Peer, Standing};
use crate::rpc;
use crate::stream_writer::OutgoingStream;
use crate::{Config, convert, snapshot};

/// States that are sent at the same time to members that ask for them. Each has a thread while it lasts.
const STATES_MAX: usize = 2;
/// Members that say to be some and are not known, at most.
const STRANGERS_MAX: usize = 64;

/// The connections of one member to all others. Clones share them.
///
/// It is made before its member, which needs it to start; until [`Self::attach`] messages are dropped and others are
/// not served. [`Self::stop`] ends everything and lets go of the member.
#[derive(Clone)]
pub struct PeerTransport(Arc<Inner>);

struct Inner {
    config: Config,
    metrics: Metrics,
    runtime: Handle,
    /// The members as they were told last.
    membership: Arc<RwLock<Membership>>,
    /// Read without a lock, so that whoever is called back while sending may ask again.
    table: ArcSwap<Table>,
    /// Held by whoever puts another table in place.
    changing: Mutex<()>,
    /// How often strangers have been heard of, all together.
    greetings: AtomicU64,
    /// One snapshot comes in at a time.
    receiving: Arc<Semaphore>,
    /// One permit for each state that a member has asked for.
    asked_for: Arc<Semaphore>,
}

#[derive(Clone, Default)]
struct Table {
    local: Option<Arc<Local>>,
    /// All members but this one, once there is a local one.
    peers: BTreeMap<MemberId, Arc<Peer>>,
    /// At most [`STRANGERS_MAX`].
    strangers: BTreeMap<MemberId, Arc<Stranger>>,
}

/// Somebody who says to be a member and is not known as one.
struct Stranger {
    peer: Peer,
    /// The number of the last greeting that was theirs.
    greeted: AtomicU64,
}

impl Table {
    fn peer(&self, id: MemberId) -> Option<&Peer> {
        let member = self.peers.get(&id).map(Arc::as_ref);
        member.or_else(|| self.strangers.get(&id).map(|stranger| &stranger.peer))
    }

    /// Makes room for one more stranger: whoever was not heard of for the longest time goes. So ids that somebody
    /// invents are in the way of a member only until it is heard of again.
    fn make_room(&mut self) {
        if self.strangers.len() < STRANGERS_MAX {
            return;
        }
        let oldest = self.strangers.iter().min_by_key(|(_, it)| it.greeted.load(Ordering::Relaxed));
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.strangers.remove(&id);
        }
    }
}

impl fmt::Debug for PeerTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerTransport").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl PeerTransport {
    /// Registers the metrics of the network. Tasks will run on `runtime`.
    ///
    /// # Errors
    /// When `registry` holds a metric of the same name already.
    pub fn register(
        config: Config,
        registry: &Registry,
        runtime: &Handle,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::register(registry)?;
        Ok(Self(Arc::new(Inner {
            config,
            metrics,
            runtime: runtime.clone(),
            membership: Arc::default(),
            table: ArcSwap::default(),
            changing: Mutex::default(),
            greetings: AtomicU64::default(),
            receiving: Arc::new(Semaphore::new(1)),
            asked_for: Arc::new(Semaphore::new(STATES_MAX)),
        })))
    }

    /// Begins to talk with the members that were told, on behalf of `member`. Once.
    pub fn attach(&self, member: Arc<dyn LocalMember>) {
        let membership = Arc::clone(&self.0.membership);
        // The pools of connections start tasks of their own.
        let _runtime = self.0.runtime.enter();
        let local = Local::new(member, self.0.config.clone(), self.0.metrics.clone(), membership);
        self.0.change(|table| {
            assert!(table.local.is_none(), "a transport works for one member");
            table.local = Some(Arc::new(local));
            self.0.reconcile(table);
        });
    }

    /// Ends all connections and lets go of the member. Messages are dropped from now on.
    pub fn stop(&self) {
        self.0.change(|table| *table = Table::default());
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    /// The member, once it is there.
    pub(crate) fn local(&self) -> Option<Arc<Local>> {
        self.0.table.load().local.clone()
    }

    /// Whether a member reads both streams.
    #[cfg(test)]
    pub(crate) fn is_read_by(&self, id: MemberId) -> bool {
        let link = self.link(id);
        link.is_ok_and(|link| {
            [StreamKind::Appends, StreamKind::Messages].iter().all(|kind| link.lane(*kind).is_attached())
        })
    }

    /// The turn to receive a snapshot.
    pub(crate) fn receiving(&self) -> &Arc<Semaphore> {
        &self.0.receiving
    }

    /// The turn to send a state to a member that asks for it.
    pub(crate) fn asked_for(&self) -> &Arc<Semaphore> {
        &self.0.asked_for
    }

    /// Whether somebody is a member.
    pub(crate) fn knows(&self, id: MemberId) -> bool {
        self.0.table.load().peers.contains_key(&id)
    }

    /// Begins a stream to a member, if it is one.
    pub(crate) fn begin_stream(&self, to: MemberId, kind: StreamKind) -> Option<OutgoingStream> {
        let peer = self.0.table.load().peers.get(&to).cloned()?;
        Some(OutgoingStream::begin(Arc::clone(&peer.link), kind))
    }

    /// Remembers where somebody is to be reached who says to be a member. This member may be the one that is
    /// behind, and then it must be able to answer.
    pub(crate) fn meet(&self, id: MemberId, urls: &[String]) {
        let table = self.0.table.load();
        let is_member = table.peers.contains_key(&id);
        if urls.is_empty() || is_member || self.0.membership.read().is_removed(id) {
            return;
        }
        let greeting = self.0.greetings.fetch_add(1, Ordering::Relaxed);
        if let Some(stranger) = table.strangers.get(&id) {
            stranger.greeted.store(greeting, Ordering::Relaxed);
            // What was said before may have been said by somebody else.
            stranger.peer.link.urls.set(urls);
            return;
        }
        self.0.change(|table| {
            let Some(local) = table.local.clone() else { return };
            if id == local.id || table.peer(id).is_some() {
                return;
            }
            table.make_room();
            let peer = Peer::start(&local, id, urls, Standing::Stranger, &self.0.runtime);
            table.strangers.insert(id, Arc::new(Stranger { peer, greeted: greeting.into() }));
            debug!(
                "local-member-id" = %local.id,
                "remote-peer-id" = %id,
                "remote-peer-urls[]" = ?urls,
                "added new remote peer"
            );
        });
    }

    fn link(&self, to: MemberId) -> Result<Arc<Link>, PeerError> {
        let table = self.0.table.load();
        table
            .peer(to)
            .map(|peer| Arc::clone(&peer.link))
            .ok_or_else(|| PeerError::Unreachable(format!("member {to} is not known")))
    }

    /// Runs a request to a member.
    fn with_link<T, F>(&self, to: MemberId, call: impl FnOnce(Arc<Link>) -> F) -> PeerFuture<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PeerError>> + Send + 'static,
    {
        match self.link(to) {
            Ok(link) => Box::pin(call(link)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl Inner {
    /// Puts a changed table in place. Connections that are in it no more end when nobody uses the old one.
    fn change(&self, change: impl FnOnce(&mut Table)) {
        let _changing = self.changing.lock();
        let mut table = Table::clone(&self.table.load());
        change(&mut table);
        self.table.store(Arc::new(table));
    }

    /// Brings the connections in line with the members.
    fn reconcile(&self, table: &mut Table) {
        let Some(local) = table.local.clone() else { return };
        let membership = self.membership.read();
        table.peers.retain(|id, _| {
            let is_member = membership.member(*id).is_some();
            if !is_member {
                self.metrics.set_known(local.id, *id, false);
                info!("local-member-id" = %local.id, "removed-remote-peer-id" = %id, "removed remote peer");
            }
            is_member
        });
        table.strangers.retain(|id, _| membership.member(*id).is_none() && !membership.is_removed(*id));
        if membership.member(local.id).is_some() {
            self.metrics.set_known(local.id, local.id, true);
        }
        for member in membership.members().filter(|member| member.id != local.id) {
            let urls = &member.peer_urls;
            if let Some(peer) = table.peers.get(&member.id) {
                if peer.link.urls.set(urls) {
                    info!(
                        "local-member-id" = %local.id,
                        "updated-remote-peer-id" = %member.id,
                        "updated-remote-peer-urls[]" = ?urls,
                        "updated remote peer"
                    );
                }
                continue;
            }
            let peer = Peer::start(&local, member.id, urls, Standing::Member, &self.runtime);
            table.peers.insert(member.id, Arc::new(peer));
            self.metrics.set_known(local.id, member.id, true);
            info!(
                "local-member-id" = %local.id,
                "remote-peer-id" = %member.id,
                "remote-peer-urls[]" = ?urls,
                "added remote peer"
            );
        }
    }
}

impl Peers for PeerTransport {
    fn send(&self, messages: Vec<Message>) {
        let table = self.0.table.load();
        for message in messages {
            let to = message.to();
            match table.peer(to) {
                Some(peer) => peer.send(convert::to_wire(message)),
                None => {
                    debug!(
                        r#type = message.kind(),
                        "unknown-target-peer-id" = %to,
                        "ignored message send request; unknown remote peer target"
                    );
                    let is_snapshot = convert::to_wire(message).r#type() == MessageType::MsgSnap;
                    // The core waits for its end.
                    if let Some(local) = table.local.as_ref().filter(|_| is_snapshot) {
                        local.member.report(PeerReport::Snapshot { to, is_sent: false });
                    }
                }
            }
        }
    }

    fn set_members(&self, membership: &Membership) {
        *self.0.membership.write() = membership.clone();
        self.0.change(|table| self.0.reconcile(table));
    }

    fn active_since(&self, id: MemberId) -> Option<Instant> {
        self.0.table.load().peers.get(&id)?.link.liveness.since()
    }

    fn request(&self, to: MemberId, request: PeerRequest) -> PeerFuture<PeerResponse> {
        self.with_link(to, |link| async move { rpc::send(&link, request).await })
    }

    fn fetch_snapshot(&self, from: MemberId, at_least: u64) -> PeerFuture<PeerSnapshot> {
        self.with_link(from, move |link| snapshot::fetch(link, at_least))
    }
}
