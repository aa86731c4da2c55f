//! A watch stream as its reader sees it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use ferretcd_auth::{Access, AuthError};
use ferretcd_watch::{Delivery, WatchId, WatchSpec};

use super::link::{Command, Link};
use super::watching::Watching;
use crate::auth::gate::Gate;
use crate::{Caller, RequestError};

/// A stream of watches. Commands go in at any time; responses to them, and the events of all watches, come
/// out of one queue in the order in which the hub delivered them. Dropping the session closes the stream.
///
/// The queue is bounded: while the stream is not polled, at most 16 KiB are kept and what came in one piece with the
/// last of them, which is a stretch of history or a large transaction; the rest is read again from the history when
/// there is room. Responses to commands are kept whether there is room or not. So the caller must keep to the bound on
/// commands, [`has_room`](Self::has_room).
///
/// ```
/// use std::future::poll_fn;
/// use std::sync::Arc;
///
/// use ferretcd_api_proto::etcdserverpb::PutRequest;
/// use ferretcd_base::KeyRange;
/// use ferretcd_engine::{NoPeers, Caller, Config, Engine};
/// use ferretcd_watch::{Delivery, WatchSpec};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let (config, registry) = (Config::new("default", dir.path(), "http://localhost:2380", 0), prometheus::Registry::new());
/// let engine = Engine::start(config, Arc::new(NoPeers), &registry, &tokio::runtime::Handle::current())?;
/// engine.cluster().publish().await?;
///
/// let caller = Caller::default();
/// let mut session = engine.watches().open(&caller, false);
/// session.create(WatchSpec::new(KeyRange::Key("color".into())))?;
/// let mut deliveries = Vec::new();
/// poll_fn(|cx| session.poll_deliveries(cx, &mut deliveries)).await;
/// assert_eq!(deliveries, [Delivery::Created { id: 0, revision: 1 }]);
///
/// let put = PutRequest { key: "color".into(), value: "blue".into(), ..PutRequest::default() };
/// engine.kv().put(&caller, put).await?;
/// poll_fn(|cx| session.poll_deliveries(cx, &mut deliveries)).await;
/// assert!(matches!(&deliveries[1], Delivery::Events(batch) if batch.revision == 2 && batch.events.len() == 1));
/// engine.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WatchSession {
    link: Arc<Link>,
    watching: Arc<Watching>,
    gate: Gate,
    caller: Caller,
}

impl WatchSession {
    pub(super) fn open(watching: &Arc<Watching>, gate: Gate, caller: Caller, requires_leader: bool) -> Self {
        let link = Arc::new(Link::new(requires_leader));
        if let Some(user) = gate.lasting_user(&caller) {
            link.set_user(user);
        }
        let session = Self { link, watching: Arc::clone(watching), gate, caller };
        session.note(true);
        session
    }

    /// Whether another command may be sent. If not, the task of the last pending
    /// [`poll_deliveries`](Self::poll_deliveries) is woken when it may.
    pub fn has_room(&self) -> bool {
        self.link.has_room()
    }

    /// Creates a watch. The response is [`Delivery::Created`] or [`Delivery::Rejected`]. It ends with
    /// [`Delivery::Revoked`] when the caller may not read its range any more.
    ///
    /// # Errors
    /// When the caller may not read its range. There is no delivery then.
    pub fn create(&self, spec: WatchSpec) -> Result<(), RequestError> {
        let admitted = self.gate.try_admit(&self.caller).unwrap_or(Err(AuthError::InvalidToken.into()))?;
        self.gate.state().check_access(admitted.info(), Access::Read, &spec.range)?;
        if let Some(user) = admitted.user() {
            self.link.set_user(Arc::clone(user));
        }
        self.send(Command::Create(spec));
        Ok(())
    }

    /// Ends a watch. The response is [`Delivery::Canceled`] if there is one of this id.
    pub fn cancel(&self, id: WatchId) {
        self.send(Command::Cancel(id));
    }

    /// Requests the progress of all watches. The response is [`Delivery::Progress`], when all are up to date.
    pub fn progress(&self) {
        self.send(Command::Progress);
    }

    /// Delivers [`Delivery::Progress`] for every watch that wants it, is up to date and had no events since the last
    /// tick.
    pub fn tick(&self) {
        self.send(Command::Tick);
    }

    /// Takes all deliveries, behind what `into` has. Pending means that there were none; the task is then
    /// woken when there are. Nothing comes after [`Delivery::Ended`].
    pub fn poll_deliveries(&mut self, cx: &mut Context<'_>, into: &mut Vec<Delivery>) -> Poll<()> {
        let (taken, must_note) = self.link.poll_take(cx, into);
        self.note(must_note);
        taken.map(|events| self.watching.tally.taken.inc_by(events as u64))
    }

    fn send(&self, command: Command) {
        self.note(self.link.send(command));
    }

    fn note(&self, must_note: bool) {
        if must_note {
            self.watching.note(&self.link);
        }
    }
}

impl Drop for WatchSession {
    fn drop(&mut self) {
        let (events, must_note) = self.link.close();
        self.watching.tally.dropped.fetch_add(events as u64, Ordering::Relaxed);
        self.note(must_note);
    }
}
