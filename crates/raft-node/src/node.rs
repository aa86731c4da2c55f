//! Starting and stopping a node.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use bytes::Bytes;
use ferretcd_base::MemberId;
use ferretcd_wal::Wal;

use crate::driver::Driver;
use crate::handle::{Outside, Shared};
use crate::inbox::Inbox;
use crate::log_thread::{self, LogQueue};
use crate::{Applied, ConfChange, ConfChangeKind, Config, Core, Error, Host, NodeHandle, Transport};

/// Writes [`founding_entries`] to a new log. Everything is durable on return; open the log again to start a node
/// on it.
pub fn bootstrap(wal: &mut Wal, members: &[(MemberId, Bytes)]) -> Result<(), Error> {
    let (entries, hard_state) = founding_entries(members);
    wal.append(&entries, Some(hard_state))?;
    wal.sync()?;
    Ok(())
}

/// The entries that the log of every member of a new cluster starts with: one configuration change per member,
/// ascending by id, all of term 1 and committed. The contexts are the members' descriptions.
pub fn founding_entries(
    members: &[(MemberId, Bytes)],
) -> (Vec<ferretcd_wal::Entry>, ferretcd_wal::HardState) {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|(member, _)| *member);
    let entries: Vec<_> = members
        .into_iter()
        .zip(1..)
        .map(|((node, context), index)| {
            let change =
                ConfChange { id: 0, kind: ConfChangeKind::AddNode, node: *node, context: context.clone() };
            ferretcd_wal::Entry {
                term: 1,
                index,
                kind: ferretcd_wal::EntryKind::ConfChange,
                data: change.to_etcd(),
            }
        })
        .collect();
    let commit = entries.len() as u64;
    (entries, ferretcd_wal::HardState { term: 1, vote: 0, commit })
}

/// A running node: its driver and its log thread. Dropping it stops it as [`Self::stop`] does.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    driver: Option<JoinHandle<()>>,
}

impl Node {
    /// Starts a node on what [`Wal::open`] returned, with a state that contains the entries up to
    /// [`Applied::index`]. Errs if a setting is out of range, if the log and the state do not fit together, or
    /// if the system gives no thread.
    pub fn start(
        config: Config,
        wal: Wal,
        recovered: ferretcd_wal::Recovered,
        applied: Applied,
        transport: Arc<dyn Transport>,
        host: Arc<dyn Host>,
    ) -> Result<Self, Error> {
        let heartbeat = config.heartbeat;
        let inbox = Inbox::new(config.inbox, applied.index);
        // A hasher's random keys are another seed for each start.
        let seed = RandomState::new().hash_one(config.id);
        let core = Core::new(config, recovered, &applied, seed)?;
        let outside = Outside { host: Arc::downgrade(&host), transport: Arc::downgrade(&transport) };
        let shared = Arc::new(Shared::new(inbox, &core, outside));
        let queue = Arc::new(LogQueue::default());

        let (log_queue, log_shared) = (queue.clone(), shared.clone());
        let log_thread = spawn("raft-log", move || log_thread::run(wal, &log_queue, &log_shared.inbox))?;
        let driver = Driver {
            core,
            shared: shared.clone(),
            queue,
            log_thread: Some(log_thread),
            transport,
            host,
            heartbeat,
            next_tick: Instant::now() + heartbeat,
            lazy: None,
            under_way: 0,
            last_queued: 0,
            last_synced: 0,
            applied: applied.index,
            turn_began: Instant::now(),
            last_token: 0,
        };
        let driver = spawn("raft", move || driver.run())?;
        Ok(Self { shared, driver: Some(driver) })
    }

    /// Access for the rest of the member.
    pub fn handle(&self) -> NodeHandle {
        NodeHandle { shared: self.shared.clone() }
    }

    /// Stops the node and waits for its threads. What the driver has accepted for writing is synced and, if
    /// that commits it, handed out; what it has not is reported as dropped. Not to be called by a [`Host`].
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shared.inbox.put(|lanes| lanes.stop = true);
        if let Some(driver) = self.driver.take()
            && let Err(panic) = driver.join()
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(Error::Thread)
}
