//! The thread `watch`: the only one that touches the hub.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use ferretcd_auth::{Access, AuthInfo, AuthReader, AuthState};
use ferretcd_base::KeyRange;
use ferretcd_mvcc::{ReadError, Reader};
use ferretcd_watch::{End, HistoryRequest, Hub};
use rustix::time::{ClockId, clock_gettime};

use super::inbox::{Wait, Work};
use super::link::{Command, Link, LinkCommands, LinkOutlet, Outcome};
use super::pace::{Pace, Served};
use super::watching::Watching;
use crate::channels::Channels;
use crate::replies::{Dispatcher, Replies};
use crate::shared::Shared;

/// The processor time that all threads of this process have used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// Whether the user of a stream may read a range now, whatever the revision was when the user was admitted.
fn may_read(state: &AuthState, link: &Link, range: &KeyRange) -> bool {
    let username = link.user().unwrap_or_default();
    // Without a user there is no revision.
    let revision = if username.is_empty() { 0 } else { state.revision() };
    state.check_access(AuthInfo { username, revision }, Access::Read, range).is_ok()
}

/// The hub and all it needs. Each turn takes what waits, delivers what is new, and wakes the readers at its end, all
/// at once.
pub(super) struct WatchThread {
    hub: Hub<LinkOutlet>,
    reader: Reader,
    watching: Arc<Watching>,
    /// Takes the one request that the hub has under way.
    requests: SyncSender<HistoryRequest>,
    dispatcher: Dispatcher,
    shared: Arc<Shared>,
    rights: AuthReader,
    /// The users and rights that all watches were last checked against.
    checked: Arc<AuthState>,
    outcome: Rc<Outcome>,
    pace: Pace,
    /// New streams are ended at once.
    is_ended: bool,
}

impl WatchThread {
    pub(super) fn new(reader: Reader, requests: SyncSender<HistoryRequest>, channels: &Channels) -> Self {
        Self {
            hub: Hub::new(reader.clone()),
            reader,
            watching: Arc::clone(&channels.watching),
            requests,
            dispatcher: channels.dispatcher.clone(),
            shared: Arc::clone(&channels.shared),
            checked: Arc::clone(&channels.rights.load()),
            rights: channels.rights.clone(),
            outcome: Rc::default(),
            pace: Pace::new(),
            is_ended: false,
        }
    }

    /// Runs until stopped, or until the store cannot be read any more.
    pub(super) fn run(mut self) {
        let mut wait = Wait::Forever;
        loop {
            let work = self.watching.inbox.take(wait);
            let is_last = work.stop;
            match self.turn(work) {
                Ok(next) => wait = self.listen(next),
                Err(_) if is_last => {}
                Err(error) => {
                    self.shared.fail(&error);
                    // One more turn, for streams that were opened meanwhile.
                    self.watching.inbox.stop();
                }
            }
            self.publish();
            if is_last {
                return;
            }
        }
    }

    /// Does everything that waited, and one step for the watches that are behind. Returns how long to wait for
    /// the next turn.
    fn turn(&mut self, work: Work) -> Result<Wait, ReadError> {
        let now = Instant::now();
        let before = self.hub.revision();
        // Read before the rights are, which are published before any later revision: whatever is delivered is so by the
        // rights that were there when it was written, or newer ones.
        let current = self.reader.revision();
        self.end_watches_without_right();
        // Before the commands: a watch from now on must not get events that were acknowledged before its creation.
        let advanced = self.hub.advance_until(current);
        if self.hub.revision() > before {
            self.pace.wrote(now);
        }
        let mut has_denied = false;
        for link in work.noted {
            has_denied |= self.execute(&link);
        }
        if has_denied {
            self.check_watches();
        }
        if work.is_leaderless {
            self.hub.end_all(End::NoLeader);
        }
        self.is_ended |= work.is_ended;
        if self.is_ended {
            self.hub.end_all(End::Stopped);
        }
        advanced?;
        if let Some((response, read)) = work.history {
            let (deliveries, bytes) = self.outcome.sums();
            self.hub.supply(response)?;
            let sums = self.outcome.sums();
            let served = Served { read, deliveries: sums.0 - deliveries, bytes: sums.1 - bytes };
            self.pace.served(now, processor_time(), served);
        }
        let has_more = self.hub.catch_up()?;
        let pause = self.pace.wait_until(now);
        if pause.is_none()
            && let Some(request) = self.hub.wanted()
        {
            self.requests
                .try_send(request)
                .expect("one request is under way, and its thread ends after this one");
        }
        Ok(match pause {
            _ if has_more => Wait::No,
            Some(end) => Wait::Until(end),
            None => Wait::Forever,
        })
    }

    /// Ends the watches whose user may not read their range any more, if users, roles or rights have changed.
    fn end_watches_without_right(&mut self) {
        let state = Arc::clone(&self.rights.load());
        if Arc::ptr_eq(&state, &self.checked) {
            return;
        }
        self.checked = state;
        self.check_watches();
    }

    fn check_watches(&mut self) {
        if self.checked.is_enabled() {
            self.hub.retain(|outlet, range| may_read(&self.checked, &outlet.link, range));
        }
    }

    /// Wakes for moved revisions from now on only if a watch is up to date: watches that are behind cost writers no
    /// wake-up.
    fn listen(&self, wait: Wait) -> Wait {
        let counts = self.hub.counts();
        let listens = counts.watchers > counts.unsynced;
        self.watching.inbox.listen(listens);
        if listens && self.reader.revision() > self.hub.revision() { Wait::No } else { wait }
    }

    /// Executes the commands of a stream's reader. Returns whether a watch was created that its user may not have any more:
    /// the right was there when the reader looked.
    fn execute(&mut self, link: &Arc<Link>) -> bool {
        let LinkCommands { stream, commands, is_closed, reader } = link.take_commands();
        if is_closed {
            if let Some(stream) = stream {
                self.hub.close(stream);
            }
            return false;
        }
        let stream = stream.unwrap_or_else(|| {
            let outlet = LinkOutlet { link: Arc::clone(link), outcome: Rc::clone(&self.outcome) };
            let stream = self.hub.open(outlet, link.requires_leader);
            link.set_stream(stream);
            stream
        });
        self.outcome.readers.borrow_mut().extend(reader);
        let mut has_denied = false;
        for command in commands {
            match command {
                Command::Create(spec) => {
                    has_denied |= !may_read(&self.checked, link, &spec.range);
                    self.hub.create(stream, spec);
                }
                Command::Cancel(id) => self.hub.cancel(stream, id),
                Command::Progress => self.hub.progress(stream),
                Command::Tick => self.hub.tick(stream),
                Command::Resume => self.hub.resume(stream),
            }
        }
        has_denied
    }

    /// Publishes the counts and wakes the readers that have got something.
    fn publish(&self) {
        let (tally, counts) = (&self.watching.tally, self.hub.counts());
        tally.streams.store(counts.streams, Ordering::Relaxed);
        tally.watchers.store(counts.watchers, Ordering::Relaxed);
        tally.unsynced.store(counts.unsynced, Ordering::Relaxed);
        tally.delivered.store(self.outcome.events.get(), Ordering::Relaxed);
        let readers = self.outcome.readers.take();
        if !readers.is_empty() {
            self.dispatcher.send(Replies::Wakers(readers));
        }
    }
}
