//! The handle of a running member.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::channels::Channels;
use crate::controllers::corruption::CorruptionCheck;
use crate::facets::Facets;
use crate::threads::Threads;
use crate::{Auth, Cluster, Config, Kv, Leases, Maintenance, MemberInfo, RequestError, StartError, Watches};

/// A handle of one member: its facets, and its end. Clones are cheap and refer to the same member.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    channels: Channels,
    /// The controllers; each holds facets of the member.
    controllers: Mutex<Vec<JoinHandle<()>>>,
    /// Taken by the call that stops the member.
    threads: Mutex<Option<Threads>>,
    /// The last field, because it holds the lock of the data directory.
    facets: Facets,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("member_id", &self.member().id()).finish_non_exhaustive()
    }
}

/// A handle that does not keep the member's files open.
pub(crate) struct WeakEngine(Weak<Inner>);

impl WeakEngine {
    pub(crate) fn upgrade(&self) -> Option<Engine> {
        self.0.upgrade().map(Engine)
    }
}

/// The facets. Each can be cloned and kept without the engine.
impl Engine {
    /// The key space.
    pub fn kv(&self) -> &Kv {
        &self.0.facets.kv
    }

    /// Watches of the key space.
    pub fn watches(&self) -> &Watches {
        &self.0.facets.watches
    }

    /// Leases.
    pub fn leases(&self) -> &Leases {
        &self.0.facets.leases
    }

    /// The members of the cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.0.facets.cluster
    }

    /// Upkeep of this member.
    pub fn maintenance(&self) -> &Maintenance {
        &self.0.facets.maintenance
    }

    /// Users, roles and what they may do.
    pub fn auth(&self) -> &Auth {
        &self.0.facets.auth
    }

    /// Facts about this member.
    pub fn member(&self) -> &MemberInfo {
        &self.0.facets.member
    }

    /// What the member was started with.
    pub fn config(&self) -> &Config {
        self.member().config()
    }
}

impl Engine {
    pub(crate) fn new(channels: Channels, threads: Threads, facets: Facets) -> Self {
        let threads = Mutex::new(Some(threads));
        Self(Arc::new(Inner { channels, controllers: Mutex::default(), threads, facets }))
    }

    pub(crate) fn downgrade(&self) -> WeakEngine {
        WeakEngine(Arc::downgrade(&self.0))
    }

    pub(crate) fn channels(&self) -> &Channels {
        &self.0.channels
    }

    pub(crate) fn facets(&self) -> &Facets {
        &self.0.facets
    }

    pub(crate) fn set_controllers(&self, controllers: Vec<JoinHandle<()>>) {
        *self.0.controllers.lock() = controllers;
    }

    /// Ends the threads of a member that has no controllers yet.
    pub(crate) fn join_threads(&self) {
        if let Some(threads) = self.0.threads.lock().take() {
            threads.join();
        }
    }

    /// Compares the data with the other members' before any client is served, if so configured. Members that do not
    /// respond, or cannot be compared, do not count.
    pub async fn check_at_start(&self) -> Result<(), StartError> {
        CorruptionCheck::new(self.facets()).at_start().await
    }

    /// Waits until the member cannot go on. Returns the reason. Never returns while the member can go on.
    pub async fn failed(&self) -> String {
        let mut failure = self.member().shared().failure.subscribe();
        let reason = failure.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone()).unwrap_or_default()
    }

    /// Whether [`Self::failed`] would return.
    pub fn has_failed(&self) -> bool {
        self.member().shared().failure.borrow().is_some()
    }

    /// Rejects new requests, lets requests under way finish as far as they can, writes everything down and ends
    /// the member's threads. When the last handle and the last facet are dropped as well, the data can be opened again.
    /// Later calls return at once.
    pub async fn stop(&self) {
        self.member().shared().is_stopping.store(true, Ordering::Release);
        self.0.channels.lessor.wake();
        let Some(threads) = self.0.threads.lock().take() else { return };
        // With the lock of the data directory, which must outlive the threads even if this future is dropped.
        let (channels, member) = (self.0.channels.clone(), self.member().clone());
        // Not on the runtime's blocking threads: those may all be busy with reads.
        let (done, stopped) = oneshot::channel();
        std::thread::spawn(move || {
            threads.join();
            fail_requests(&channels);
            drop(channels);
            drop(member);
            let _ = done.send(());
        });
        if stopped.await.is_err() {
            tracing::error!("a thread of the member did not end in order");
        }
        let controllers = std::mem::take(&mut *self.0.controllers.lock());
        for controller in controllers {
            controller.abort();
            // Cancelled, that is; its facets are dropped then.
            let _ = controller.await;
        }
    }
}

/// Fails everything that waits for a thread that has ended.
fn fail_requests(channels: &Channels) {
    for proposal in channels.waiters.take_all() {
        let _ = proposal.send(Err(RequestError::Stopped));
    }
    for read in channels.read_rounds.take_all() {
        let _ = read.send(Err(RequestError::Stopped));
    }
}
