//! Watch streams without a network.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferretcd_base::KeyRange;
use ferretcd_engine::{Engine, WatchSession};
use ferretcd_watch::{Delivery, End, WatchSpec};
use prometheus::Registry;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::support::*;

/// A stream whose deliveries are looked at one by one.
struct Stream {
    session: WatchSession,
    taken: VecDeque<Delivery>,
}

impl Stream {
    fn new(engine: &Engine) -> Self {
        Self { session: engine.watches().open(&CALLER, false), taken: VecDeque::new() }
    }

    /// With a watch of one key from a revision on, behind its first response.
    async fn of_key(engine: &Engine, key: &'static str, start: i64) -> Self {
        let mut stream = Self::new(engine);
        stream
            .session
            .create(WatchSpec { start, ..WatchSpec::new(KeyRange::Key(key.into())) })
            .expect("authentication is off");
        let response = stream.next().await;
        assert!(matches!(response, Delivery::Created { id: 0, .. }), "{response:?}");
        stream
    }

    async fn next(&mut self) -> Delivery {
        if self.taken.is_empty() {
            let mut deliveries = Vec::new();
            let taken = poll_fn(|cx| self.session.poll_deliveries(cx, &mut deliveries));
            timeout(PATIENCE, taken).await.expect("something is delivered in time");
            self.taken.extend(deliveries);
        }
        self.taken.pop_front().expect("what was ready has something")
    }

    /// Waits until so many events have come, and returns the revision up to which they were delivered
    /// everything.
    async fn events(&mut self, expected: usize) -> i64 {
        let (mut n_events, mut revision) = (0, 0);
        while n_events < expected {
            let delivery = self.next().await;
            let Delivery::Events(batch) = delivery else { panic!("{delivery:?} among events") };
            assert!(revision < batch.revision, "batches come in order");
            revision = batch.revision;
            n_events += batch.events.len();
        }
        assert_eq!(n_events, expected);
        revision
    }
}

/// The value of a metric without labels.
fn metric(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).expect("a metric of the member");
    let metric = &family.get_metric()[0];
    metric.get_gauge().get_value() + metric.get_counter().get_value()
}

#[test]
fn write_is_delivered_to_watches_of_its_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| {
        let mut stream = Stream::of_key(engine, "a", 0).await;
        for (key, revision) in [("b", 2), ("a", 3), ("a", 4)] {
            engine.kv().put(&CALLER, put(key, "value")).await.expect("a put");
            if key == "a" {
                assert_eq!(stream.events(1).await, revision);
            }
        }
    });
    member.stop();
}

#[test]
fn watch_from_now_on_gets_no_earlier_events() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| {
        // Open streams keep the hub busy with the puts.
        let mut all = Stream::of_key(engine, "a", 0).await;
        for round in 0..100 {
            let response = engine.kv().put(&CALLER, put("a", "value")).await.expect("a put");
            let revision = response.header.expect("a response has a header").revision;
            let mut stream = Stream::new(engine);
            stream.session.create(WatchSpec::new(KeyRange::Key("a".into()))).expect("authentication is off");
            assert_eq!(stream.next().await, Delivery::Created { id: 0, revision }, "round {round}");
        }
        all.events(100).await;
    });
    member.stop();
}

#[test]
fn history_is_delivered_from_the_start_revision() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| {
        for _ in 0..3000 {
            engine.kv().put(&CALLER, put("a", "value")).await.expect("a put");
        }
        engine.maintenance().flush().await.expect("a commit");
        // From the state file, from what both have, and from a revision to come.
        for start in [2, 2900, 3004] {
            let mut stream = Stream::of_key(engine, "a", start).await;
            engine.kv().put(&CALLER, put("a", "value")).await.expect("a put");
            let current = engine.kv().reader().revision();
            assert_eq!(stream.events((current - start + 1) as usize).await, current);
        }
    });
    member.stop();
}

#[test]
fn compacted_history_ends_the_watch() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| {
        for _ in 0..10 {
            engine.kv().put(&CALLER, put("a", "value")).await.expect("a put");
        }
        engine.kv().compact(&CALLER, compaction(5, true)).await.expect("a compaction");
        let mut stream = Stream::of_key(engine, "a", 4).await;
        assert_eq!(stream.next().await, Delivery::Compacted { id: 0, compacted: 5 });
        stream.session.cancel(0);
        assert_eq!(stream.next().await, Delivery::Canceled { id: 0, revision: 11 });
    });
    member.stop();
}

#[test]
fn slow_reader_delays_no_other_and_misses_nothing() {
    const EVENTS: usize = 2000;
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| {
        let mut slow = Stream::of_key(engine, "a", 0).await;
        let mut quick = Stream::of_key(engine, "a", 0).await;
        let value = Bytes::from(vec![b'v'; 1000]);
        for _ in 0..EVENTS {
            engine.kv().put(&CALLER, put("a", value.clone())).await.expect("a put");
        }
        assert_eq!(quick.events(EVENTS).await, EVENTS as i64 + 1);
        let pending = metric(&member.registry, "etcd_debugging_mvcc_pending_events_total");
        assert!((1.0..200.0).contains(&pending), "{pending} events wait in the queue");
        assert_eq!(metric(&member.registry, "etcd_debugging_mvcc_slow_watcher_total"), 1.0);

        assert_eq!(slow.events(EVENTS).await, EVENTS as i64 + 1);
        slow.session.progress();
        let progress = Delivery::Progress { id: None, revision: EVENTS as i64 + 1 };
        assert_eq!(slow.next().await, progress);
        for (name, expected) in [
            ("events_total", 2.0 * EVENTS as f64),
            ("pending_events_total", 0.0),
            ("slow_watcher_total", 0.0),
            ("watcher_total", 2.0),
            ("watch_stream_total", 2.0),
        ] {
            let name = format!("etcd_debugging_mvcc_{name}");
            // Counts are shown at the end of a turn, deliveries during it.
            let shown = async {
                while metric(&member.registry, &name) != expected {
                    yield_now().await;
                }
            };
            timeout(PATIENCE, shown).await.unwrap_or_else(|_| panic!("{name} is never {expected}"));
        }
    });
    member.stop();
}

#[test]
fn canceled_watch_gets_no_more_events() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| {
        let mut stream = Stream::of_key(engine, "a", 0).await;
        stream.session.cancel(7);
        stream.session.cancel(0);
        stream.session.create(WatchSpec::new(KeyRange::Key("b".into()))).expect("authentication is off");
        let canceled = Delivery::Canceled { id: 0, revision: 1 };
        assert_eq!(stream.next().await, canceled, "an unknown id has no response");
        assert_eq!(stream.next().await, Delivery::Created { id: 1, revision: 1 });
        for key in ["a", "b"] {
            engine.kv().put(&CALLER, put(key, "value")).await.expect("a put");
        }
        assert_eq!(stream.events(1).await, 3);
    });
    member.stop();
}

#[test]
fn many_commands_find_room() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| {
        let mut session = engine.watches().open(&CALLER, false);
        let mut deliveries = Vec::new();
        // Commands without a response: only the thread makes room, by taking them.
        for _ in 0..1000 {
            let room = poll_fn(|cx| {
                let _ = session.poll_deliveries(cx, &mut deliveries);
                if session.has_room() { Poll::Ready(()) } else { Poll::Pending }
            });
            timeout(PATIENCE, room).await.expect("commands are taken");
            session.cancel(1);
        }
        assert!(deliveries.is_empty());
    });
    member.stop();
}

#[test]
fn streams_end_with_the_member() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| {
        let ended = Delivery::Ended(End::Stopped);
        let mut before = Stream::of_key(engine, "a", 0).await;
        engine.watches().end_all();
        assert_eq!(before.next().await, ended);
        assert_eq!(Stream::new(engine).next().await, ended);
        engine.stop().await;
        assert_eq!(Stream::new(engine).next().await, ended);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(
            before.session.poll_deliveries(&mut cx, &mut Vec::new()).is_pending(),
            "nothing comes after the end"
        );
    });
}
