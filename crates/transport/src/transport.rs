//! The network of a member: messages, requests and snapshots to its peers.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use ferretcd_base::MemberId;
use ferretcd_engine::{PeerError, PeerFuture, PeerRequest, PeerResponse, PeerSnapshot, Peers};
use ferretcd_membership::Membership;
use ferretcd_raft_node::Message;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::local_member::LocalMember;
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::peer_table::PeerTable;
use crate::{rpc, snapshot};

/// The connections of one member to its peers. Clones share them.
///
/// It is made before its member, which needs it to start; until [`Self::attach`] it drops messages and rejects requests.
/// [`Self::stop`] ends all connections and drops the member.
#[derive(Clone)]
pub struct PeerTransport(Arc<PeerTable>);

impl fmt::Debug for PeerTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerTransport").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl PeerTransport {
    /// Registers the metrics of the network. All of its tasks will run on `runtime`, and all connections that it opens
    /// belong there, wherever requests come from.
    ///
    /// # Errors
    /// When `registry` holds a metric of the same name already.
    pub fn register(
        config: Config,
        registry: &Registry,
        runtime: &Handle,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::register(registry)?;
        Ok(Self(Arc::new(PeerTable::new(config, metrics, runtime.clone()))))
    }

    /// Connects to the members in the list, on behalf of `member`. Once.
    pub fn attach(&self, member: Arc<dyn LocalMember>) {
        self.0.attach(member);
    }

    /// Ends all connections and drops the member. Messages are dropped from now on.
    pub fn stop(&self) {
        self.0.clear();
    }

    pub(crate) fn table(&self) -> &Arc<PeerTable> {
        &self.0
    }

    /// Runs a request to a peer, as a task of its own: a connection that it opens stays with the runtime of the task, and
    /// raft messages may follow on it.
    fn with_peer<T, F>(&self, to: MemberId, request: impl FnOnce(Arc<Peer>) -> F) -> PeerFuture<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PeerError>> + Send + 'static,
    {
        let peer = match self.0.peer(to) {
            Ok(peer) => peer,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        // Dropping the set aborts the task.
        let mut running = JoinSet::new();
        running.spawn_on(request(peer), self.0.runtime());
        Box::pin(async move {
            let response = running.join_next().await.and_then(Result::ok);
            response.unwrap_or_else(|| Err(PeerError::Unreachable("the transport has ended".to_owned())))
        })
    }
}

impl Peers for PeerTransport {
    fn send(&self, messages: Vec<Message>) {
        self.0.send(messages);
    }

    fn set_members(&self, membership: &Membership) {
        self.0.set_members(membership);
    }

    fn active_since(&self, id: MemberId) -> Option<Instant> {
        self.0.active_since(id)
    }

    fn request(&self, to: MemberId, request: PeerRequest) -> PeerFuture<PeerResponse> {
        self.with_peer(to, |peer| async move { rpc::send(&peer, request).await })
    }

    fn fetch_snapshot(&self, from: MemberId, at_least: u64) -> PeerFuture<PeerSnapshot> {
        self.with_peer(from, move |peer| snapshot::fetch(peer, at_least))
    }
}
