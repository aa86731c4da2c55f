//! Watches that follow the writer.

use std::time::Duration;

use bytes::Bytes;
use ferretcd_testkit::Random;
use ferretcd_testkit::watch_history::{History, Record, Seen, WatchRequest};
use ferretcd_tests::{Clients, NO_WATCH, Response, WatchStream};
use tokio::sync::watch;
use tokio::time;

use super::Course;
use super::writer::LETTERS;

/// A stream with a watch that can go on responds within this time.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// One watch, over any number of streams.
#[derive(Debug)]
pub(super) struct Follower {
    history: History,
    fragment: bool,
    progress_notify: bool,
    /// Its id on the current stream.
    id: i64,
    /// Whether it is created there, and has not ended.
    is_open: bool,
    /// The start revision after a lost stream; 0 when none is known.
    next: i64,
}

impl Follower {
    pub(super) fn new(random: &mut Random, record: &Record, headers_are_bookmarks: bool) -> Self {
        let revision = record.revision();
        let number = |random: &mut Random, below: i64| {
            i64::try_from(random.below(u64::try_from(below.max(1)).expect("positive"))).expect("small")
        };
        let (key, range_end) = range(random);
        let start = match random.below(5) {
            0 | 1 => 0,
            // This can be below the compact revision, too.
            2 | 3 => 1 + number(random, revision),
            _ => revision + number(random, 40),
        };
        let request = WatchRequest {
            key,
            range_end,
            start,
            no_put: random.below(6) == 0,
            no_delete: random.below(6) == 0,
            prev_kv: random.below(2) == 0,
        };
        Self {
            history: History { request, floor: revision, headers_are_bookmarks, seen: Vec::new() },
            fragment: random.below(2) == 0,
            progress_notify: random.below(3) == 0,
            id: 0,
            is_open: false,
            next: start,
        }
    }

    async fn ask(&mut self, id: i64, stream: &WatchStream) {
        self.id = id;
        let mut request = self.history.request.create_request(id, self.next);
        request.fragment = self.fragment;
        request.progress_notify = self.progress_notify;
        stream.create(request).await;
    }

    /// Takes a response of this watch. Returns whether the watch has to be created again.
    fn take(&mut self, response: Response) -> bool {
        let revision = response.revision();
        if response.created {
            assert!(!response.canceled, "a watch is rejected: {response:?}");
            self.is_open = true;
            if self.next == 0 {
                self.next = revision + 1;
            }
            self.history.seen.push(Seen::Created(revision));
            return false;
        }
        if response.canceled {
            assert!(response.compact_revision > 0, "a watch ends without a reason: {response:?}");
            self.is_open = false;
            self.next = response.compact_revision;
            self.history.seen.push(Seen::Compacted(response.compact_revision));
            return true;
        }
        if response.is_progress() {
            self.progress(revision);
            return false;
        }
        if let Some(last) = response.events.last().filter(|_| !response.fragment) {
            let seen = if self.history.headers_are_bookmarks { revision } else { last.row.mod_revision };
            self.next = seen + 1;
        }
        let Response { events, fragment, .. } = response;
        self.history.seen.push(Seen::Events { header: revision, events, fragment });
        false
    }

    fn progress(&mut self, revision: i64) {
        self.next = self.next.max(revision + 1);
        self.history.seen.push(Seen::Progress(revision));
    }

    fn has_everything(&self, record: &Record) -> bool {
        self.is_open && record.last_wanted(&self.history.request, self.next - 1).is_none()
    }
}

/// A single key, all keys of a letter, some of them, everything from some key on, or everything.
fn range(random: &mut Random) -> (Bytes, Bytes) {
    let letter = LETTERS[usize::try_from(random.below(3)).expect("below 3")];
    let digit = b'0' + u8::try_from(random.below(8)).expect("a digit");
    let zero = Bytes::from_static(&[0]);
    match random.below(5) {
        0 => (Bytes::copy_from_slice(&[letter, digit]), Bytes::new()),
        1 => (Bytes::copy_from_slice(&[letter]), Bytes::copy_from_slice(&[letter + 1])),
        2 => (Bytes::copy_from_slice(&[letter, b'2']), Bytes::copy_from_slice(&[letter, b'6'])),
        3 => (Bytes::copy_from_slice(&[letter, digit]), zero),
        _ => (zero.clone(), zero),
    }
}

/// Watches that share a stream.
#[derive(Debug)]
pub(super) struct Call {
    random: Random,
    followers: Vec<Follower>,
    /// Whether it reads a response only after further progress of the writer.
    slow: bool,
}

impl Call {
    pub(super) fn new(seed: u64, followers: Vec<Follower>) -> Self {
        let mut random = Random::new(seed);
        let slow = random.below(2) == 0;
        Self { random, followers, slow }
    }

    pub(super) fn is_slow(&self) -> bool {
        self.slow
    }

    pub(super) fn histories(&self) -> impl Iterator<Item = &History> {
        self.followers.iter().map(|follower| &follower.history)
    }

    /// Follows until the stream is lost or all events have come.
    pub(super) async fn follow(mut self, clients: &Clients, mut course: watch::Receiver<Course>) -> Self {
        let mut stream = WatchStream::open(clients);
        let mut last_id = 0;
        for follower in &mut self.followers {
            last_id += 1;
            follower.ask(last_id, &stream).await;
        }
        // The revision of the last progress response for the whole stream.
        let mut progress = 0;
        let mut again = time::interval(ASK_AGAIN);
        loop {
            let finished = course.borrow_and_update().finished.clone();
            let finished =
                finished.filter(|record| self.followers.iter().all(|one| one.has_everything(record)));
            if let Some(record) = &finished
                && progress >= record.revision()
            {
                return self;
            }
            let response = tokio::select! {
                response = stream.next() => response,
                Ok(()) = course.changed() => continue,
                // While a watch is catching up, a progress request may get no response.
                _ = again.tick(), if finished.is_some() => {
                    stream.request_progress().await;
                    continue;
                }
            };
            let response = match response {
                Ok(Some(response)) => response,
                lost => {
                    assert!(course.borrow().over, "a call ends while the server runs: {lost:?}");
                    let is_stuck =
                        lost.as_ref().is_err_and(|status| status.message().starts_with("no response"));
                    assert!(!is_stuck, "nothing comes any more: {:#?}", self.followers);
                    for follower in &mut self.followers {
                        follower.is_open = false;
                        follower.history.seen.push(Seen::Lost);
                    }
                    return self;
                }
            };
            if response.watch_id == NO_WATCH {
                assert!(response.is_progress(), "a watch is rejected: {response:?}");
                progress = response.revision();
                let open = self.followers.iter_mut().filter(|follower| follower.is_open);
                open.for_each(|follower| follower.progress(response.revision()));
            } else if let Some(follower) = self.followers.iter_mut().find(|one| one.id == response.watch_id)
                && follower.take(response)
            {
                stream.cancel(follower.id).await;
                last_id += 1;
                follower.ask(last_id, &stream).await;
            }
            if self.random.below(8) == 0 {
                stream.request_progress().await;
            }
            if self.slow {
                self.wait(&mut course).await;
            }
        }
    }

    async fn wait(&mut self, course: &mut watch::Receiver<Course>) {
        let far = i64::try_from(self.random.below(40)).expect("below 40");
        let from = course.borrow().revision;
        // It errs when the writer is gone, which the stream will report.
        let _ = course.wait_for(|course| course.over || course.revision >= from + far).await;
    }
}
