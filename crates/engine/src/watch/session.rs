//! A watch stream as its reader sees it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use ferretcd_watch::{Delivery, WatchId, WatchSpec};

use super::Watching;
use super::link::{Command, Link};
use crate::Engine;

impl Engine {
    /// Opens a stream of watches. Cheap; nothing is waited for. A stream that `requires_leader` ends when the
    /// member has had none for three election timeouts.
    pub fn watch(&self, requires_leader: bool) -> WatchSession {
        WatchSession::open(&self.0.watching, requires_leader)
    }

    /// Ends all watch streams with [`End::Stopped`](ferretcd_watch::End::Stopped); those that are opened from now on
    /// end at once. For a server that drains: streams would go on for ever.
    pub fn end_watches(&self) {
        self.0.watching.end();
    }
}

/// A stream of watches. Commands go in at any time; what comes of them, and the events of all watches, come
/// out of one queue in the order in which the hub gave them. Dropping the session closes the stream.
///
/// The queue is bounded: of a stream that nobody polls at most 16 KiB are kept and what came in one piece with the
/// last of them, which is a stretch of history or a large transaction; the rest is read again from the history when
/// there is room. Answers are kept whether there is room or not. So the bound on commands,
/// [`has_room`](Self::has_room), is the caller's to keep.
///
/// ```
/// use std::future::poll_fn;
/// use std::sync::Arc;
///
/// use ferretcd_api_proto::etcdserverpb::PutRequest;
/// use ferretcd_base::KeyRange;
/// use ferretcd_engine::{Alone, Config, Engine};
/// use ferretcd_watch::{Delivery, WatchSpec};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let (config, registry) = (Config::new("default", dir.path(), "http://localhost:2380", 0), prometheus::Registry::new());
/// let engine = Engine::start(config, Arc::new(Alone), &registry, &tokio::runtime::Handle::current())?;
/// engine.publish().await?;
///
/// let mut session = engine.watch(false);
/// session.create(WatchSpec::new(KeyRange::Key("color".into())));
/// let mut deliveries = Vec::new();
/// poll_fn(|cx| session.poll_deliveries(cx, &mut deliveries)).await;
/// assert_eq!(deliveries, [Delivery::Created { id: 0, revision: 1 }]);
///
/// engine.put(PutRequest { key: "color".into(), value: "blue".into(), ..PutRequest::default() }).await?;
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
}

impl WatchSession {
    pub(super) fn open(watching: &Arc<Watching>, requires_leader: bool) -> Self {
        let session = Self { link: Arc::new(Link::new(requires_leader)), watching: Arc::clone(watching) };
        session.note(true);
        session
    }

    /// Whether another command should be sent. If not, the task of the last
    /// [`poll_deliveries`](Self::poll_deliveries) that was pending is woken when it should.
    pub fn has_room(&self) -> bool {
        self.link.has_room()
    }

    /// Creates a watch; answered with [`Delivery::Created`] or [`Delivery::Rejected`].
    pub fn create(&self, spec: WatchSpec) {
        self.send(Command::Create(spec));
    }

    /// Ends a watch; answered with [`Delivery::Canceled`] if there is one of this id.
    pub fn cancel(&self, id: WatchId) {
        self.send(Command::Cancel(id));
    }

    /// Asks how far all watches are; answered with [`Delivery::Progress`] when all are up to date.
    pub fn progress(&self) {
        self.send(Command::Progress);
    }

    /// Has every watch that asked for it, is up to date and had no events since the last tick tell so with
    /// [`Delivery::Progress`].
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
