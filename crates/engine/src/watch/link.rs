//! The two queues between one stream's reader and the thread `watch`.
//!
//! Both directions are behind one small lock: each side leaves here what it has for the other side, and wakes that
//! side only if it doesn't know yet that there is something.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use ferretcd_watch::{Delivery, End, Outlet, StreamId, WatchId, WatchSpec};
use parking_lot::Mutex;

/// Bytes of deliveries above which no events are taken in. The last batch may exceed it.
const BYTES_MAX: usize = 16 << 10;
/// Commands and their responses that may be on their way. Clients that send more wait.
const COMMANDS_MAX: usize = 64;
/// A queue that a burst has grown beyond this is freed.
const DELIVERIES_KEPT: usize = 16;

/// What a stream's reader requests from the hub.
#[derive(Debug)]
pub(super) enum Command {
    Create(WatchSpec),
    Cancel(WatchId),
    Progress,
    Tick,
    /// There is room again.
    Resume,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) requires_leader: bool,
    /// The user whose rights the watches rely on, once it is known.
    user: OnceLock<Arc<str>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which the hub gets them.
    commands: Vec<Command>,
    /// In the order in which the hub gave them.
    deliveries: Vec<Delivery>,
    /// What the deliveries take, and how many events they have.
    bytes: usize,
    events: usize,
    /// The reader to wake when there is something to take; `None` while it is awake.
    reader: Option<Waker>,
    /// Whether the reader waits until commands have been taken.
    awaits_room: bool,
    /// Whether the hub has found no room.
    is_starved: bool,
    /// Whether the thread knows that there is something here for it.
    is_noted: bool,
    /// Whether the reader has gone.
    is_closed: bool,
    /// The hub's id of the stream; only the thread uses it.
    stream: Option<StreamId>,
}

/// What the thread finds at a link.
#[derive(Debug)]
pub(super) struct LinkCommands {
    pub(super) stream: Option<StreamId>,
    pub(super) commands: Vec<Command>,
    pub(super) is_closed: bool,
    /// A reader that waited for its commands to be taken.
    pub(super) reader: Option<Waker>,
}

/// The reader's side. A returned `bool` says whether the link must be noted for the thread.
impl Link {
    pub(super) fn new(requires_leader: bool) -> Self {
        // The session notes each new link.
        let state = State { is_noted: true, ..State::default() };
        Self { requires_leader, user: OnceLock::new(), state: Mutex::new(state) }
    }

    /// Remembers the user; the first one counts.
    pub(super) fn set_user(&self, user: Arc<str>) {
        let _ = self.user.set(user);
    }

    /// The user, if there is one.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.get().map(|user| &**user)
    }

    /// Whether a command may be sent. If not, the reader is woken when there is room.
    pub(super) fn has_room(&self) -> bool {
        let mut state = self.state.lock();
        state.awaits_room = state.commands.len() + state.deliveries.len() >= COMMANDS_MAX;
        !state.awaits_room
    }

    #[must_use]
    pub(super) fn send(&self, command: Command) -> bool {
        let mut state = self.state.lock();
        state.commands.push(command);
        state.note()
    }

    /// Takes all deliveries and returns how many events they are. Pending means that there were none, and that
    /// the reader is woken when there are.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>, into: &mut Vec<Delivery>) -> (Poll<usize>, bool) {
        let mut state = self.state.lock();
        if state.deliveries.is_empty() {
            match &mut state.reader {
                Some(reader) => reader.clone_from(cx.waker()),
                reader => *reader = Some(cx.waker().clone()),
            }
            return (Poll::Pending, false);
        }
        if into.is_empty() {
            let kept = if into.capacity() > DELIVERIES_KEPT { Vec::new() } else { std::mem::take(into) };
            *into = std::mem::replace(&mut state.deliveries, kept);
        } else {
            into.append(&mut state.deliveries);
        }
        state.bytes = 0;
        let events = std::mem::take(&mut state.events);
        let must_note = std::mem::take(&mut state.is_starved) && {
            state.commands.push(Command::Resume);
            state.note()
        };
        (Poll::Ready(events), must_note)
    }

    /// Closes the stream. Returns the number of events that were not taken.
    pub(super) fn close(&self) -> (usize, bool) {
        let mut state = self.state.lock();
        let events = state.events;
        let State { stream, is_noted, .. } = *state;
        *state = State { stream, is_noted, is_closed: true, ..State::default() };
        (events, state.note())
    }

    /// Adds the last delivery, when the thread has ended.
    pub(super) fn end(&self, end: End) {
        let reader = self.state.lock().push(Delivery::Ended(end));
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// The thread's side.
impl Link {
    pub(super) fn take_commands(&self) -> LinkCommands {
        let mut state = self.state.lock();
        state.is_noted = false;
        let reader = if state.awaits_room { state.reader.take() } else { None };
        LinkCommands {
            stream: state.stream,
            commands: std::mem::take(&mut state.commands),
            is_closed: state.is_closed,
            reader,
        }
    }

    pub(super) fn set_stream(&self, stream: StreamId) {
        self.state.lock().stream = Some(stream);
    }
}

impl State {
    /// Returns whether the thread doesn't know of the link yet.
    fn note(&mut self) -> bool {
        !std::mem::replace(&mut self.is_noted, true)
    }

    /// Returns the reader if it has to be woken.
    fn push(&mut self, delivery: Delivery) -> Option<Waker> {
        if self.is_closed {
            return None;
        }
        self.bytes += size_of::<Delivery>();
        match &delivery {
            Delivery::Events(batch) => {
                self.bytes += batch.events.as_bytes().len();
                self.events += batch.events.len();
            }
            Delivery::Revoked { id, .. } => self.forget_events(*id),
            _ => {}
        }
        self.deliveries.push(delivery);
        self.reader.take()
    }

    /// Drops the events of a watch that its owner may not see any more.
    fn forget_events(&mut self, id: WatchId) {
        if self.events == 0 {
            return;
        }
        let (bytes, events) = (&mut self.bytes, &mut self.events);
        self.deliveries.retain(|delivery| match delivery {
            Delivery::Events(batch) if batch.id == id => {
                *bytes -= size_of::<Delivery>() + batch.events.as_bytes().len();
                *events -= batch.events.len();
                false
            }
            _ => true,
        });
    }
}

/// Sums of all outlets of a hub.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Readers to wake at the end of the turn.
    pub(super) readers: RefCell<Vec<Waker>>,
    /// Events delivered since the start.
    pub(super) events: Cell<u64>,
    deliveries: Cell<u64>,
    bytes: Cell<u64>,
}

impl Outcome {
    /// Deliveries since the start, and the bytes of their events.
    pub(super) fn sums(&self) -> (u64, u64) {
        (self.deliveries.get(), self.bytes.get())
    }
}

/// The hub's way to a stream.
#[derive(Debug)]
pub(super) struct LinkOutlet {
    pub(super) link: Arc<Link>,
    pub(super) outcome: Rc<Outcome>,
}

impl Outlet for LinkOutlet {
    fn has_room(&mut self) -> bool {
        let mut state = self.link.state.lock();
        state.is_starved = state.bytes >= BYTES_MAX;
        !state.is_starved
    }

    fn deliver(&mut self, delivery: Delivery) {
        if let Delivery::Events(batch) = &delivery {
            self.outcome.bytes.update(|sum| sum + batch.events.as_bytes().len() as u64);
        }
        self.outcome.deliveries.update(|sum| sum + 1);
        let mut state = self.link.state.lock();
        let before = state.events;
        let reader = state.push(delivery);
        let after = state.events;
        drop(state);
        // Fewer than before, if the events of a watch were dropped.
        self.outcome.events.update(|sum| sum + after as u64 - before as u64);
        self.outcome.readers.borrow_mut().extend(reader);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct WakeCount(AtomicUsize);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Ends {
        link: Arc<Link>,
        outlet: LinkOutlet,
        wake_count: Arc<WakeCount>,
    }

    impl Ends {
        /// A link that the thread has looked at.
        fn new() -> Self {
            let link = Arc::new(Link::new(false));
            let outlet = LinkOutlet { link: Arc::clone(&link), outcome: Rc::default() };
            assert!(link.take_commands().commands.is_empty());
            Self { link, outlet, wake_count: Arc::default() }
        }

        fn take(&self) -> (Vec<Delivery>, bool) {
            let waker = Waker::from(Arc::clone(&self.wake_count));
            let mut deliveries = Vec::new();
            let (_, must_note) = self.link.poll_take(&mut Context::from_waker(&waker), &mut deliveries);
            (deliveries, must_note)
        }

        fn progress(revision: i64) -> Delivery {
            Delivery::Progress { id: None, revision }
        }

        /// How often the reader was woken.
        fn wake_ups(&self) -> usize {
            self.outlet.outcome.readers.take().into_iter().for_each(Waker::wake);
            self.wake_count.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn reader_is_woken_once_for_all_deliveries() {
        let mut ends = Ends::new();
        assert_eq!(ends.take(), (vec![], false));
        ends.outlet.deliver(Ends::progress(1));
        ends.outlet.deliver(Ends::progress(2));
        assert_eq!(ends.wake_ups(), 1);
        assert_eq!(ends.take().0, [Ends::progress(1), Ends::progress(2)]);
        ends.outlet.deliver(Ends::progress(3));
        assert_eq!(ends.wake_ups(), 1, "it has not polled since");
    }

    #[test]
    fn link_is_noted_once_for_all_commands() {
        let ends = Ends::new();
        assert!(ends.link.send(Command::Progress));
        assert!(!ends.link.send(Command::Cancel(7)));
        let commands = ends.link.take_commands().commands;
        assert!(matches!(commands[..], [Command::Progress, Command::Cancel(7)]), "{commands:?}");
        assert!(ends.link.send(Command::Tick));
    }

    #[test]
    fn starved_hub_resumes_when_there_is_room() {
        let mut ends = Ends::new();
        let mut n = 0;
        while ends.outlet.has_room() {
            ends.outlet.deliver(Ends::progress(n));
            n += 1;
        }
        assert!(n >= 100, "{n} deliveries fill the queue");
        assert!(ends.take().1, "the thread must look");
        assert!(matches!(ends.link.take_commands().commands[..], [Command::Resume]));
        assert!(ends.outlet.has_room());
        ends.outlet.deliver(Ends::progress(0));
        assert!(!ends.take().1, "the hub found room");
    }

    #[test]
    fn commands_wait_for_room() {
        let ends = Ends::new();
        while ends.link.has_room() {
            let _ = ends.link.send(Command::Cancel(1));
        }
        assert_eq!(ends.take(), (vec![], false));
        let found = ends.link.take_commands();
        assert_eq!(found.commands.len(), COMMANDS_MAX);
        assert!(found.reader.is_some(), "nothing else would wake it");
        assert!(ends.link.has_room());
    }

    #[test]
    fn closed_link_keeps_no_deliveries() {
        let mut ends = Ends::new();
        ends.outlet.deliver(Ends::progress(1));
        assert_eq!(ends.link.close(), (0, true));
        ends.outlet.deliver(Ends::progress(2));
        assert_eq!(ends.take(), (vec![], false));
        assert!(ends.link.take_commands().is_closed);
    }
}
