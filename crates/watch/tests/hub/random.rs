//! Random steps of store, clients and hub, in any order.

use bytes::Bytes;
use ferretcd_base::KeyRange;
use ferretcd_watch::{End, WatchId, WatchSpec};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::harness::{Harness, Write};

#[derive(Clone, Debug)]
enum Op {
    Write(Vec<Write>),
    Commit,
    Release(Index),
    Compact(Index),
    Scrub(usize),
    Restore(Vec<Vec<Write>>, Option<Index>, usize),
    Open { capacity: usize, requires_leader: bool },
    Close(Index),
    Create(Index, WatchSpec, Start),
    Cancel(Index, Index),
    CancelUnknown(Index),
    Progress(Index),
    Tick(Index),
    Drain(Index),
    Resume(Index),
    EndAll(End),
    Advance,
    CatchUp,
    TakeRequest,
    Read,
    Supply,
    Settle,
}

#[derive(Clone, Copy, Debug)]
enum Start {
    Now,
    /// Anywhere from 1 to a few revisions to come.
    At(Index),
}

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn key() -> impl Strategy<Value = Bytes> {
    prop::sample::select(&KEYS[..]).prop_map(Bytes::from)
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        4 => key().prop_map(KeyRange::Key),
        3 => (key(), key()).prop_map(|(start, end)| KeyRange::Interval(start, end)),
        1 => key().prop_map(KeyRange::From),
        1 => Just(KeyRange::all()),
    ]
}

fn value() -> impl Strategy<Value = Bytes> {
    // The large one ends the stretches that are read.
    prop_oneof![
        12 => "[x-z]{0,3}".prop_map(Bytes::from),
        1 => Just(Bytes::from_static(&[b'v'; 40_000])),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| Write::Put(key, value)),
        1 => range().prop_map(Write::Delete),
    ]
}

/// The changes of a transaction. None changes a key twice, as the server sees to: the earlier change would be
/// removed by a compaction at its revision, which is otherwise still complete.
fn writes() -> impl Strategy<Value = Vec<Write>> {
    prop::collection::vec(write(), 1..4).prop_map(|mut writes| {
        let mut left: Vec<Bytes> = KEYS.map(Bytes::from).into();
        writes.retain(|write| {
            let concerns = |key: &Bytes| match write {
                Write::Put(put, _) => put == key,
                Write::Delete(range) => range.contains(key),
            };
            let n_concerned = KEYS.iter().filter(|key| concerns(&Bytes::from(**key))).count();
            let n_left = left.len();
            left.retain(|key| !concerns(key));
            n_left - left.len() == n_concerned
        });
        writes
    })
}

fn spec() -> impl Strategy<Value = WatchSpec> {
    let id = prop_oneof![3 => Just(0), 1 => -2..4 as WatchId];
    let filters = (prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    (id, range(), filters, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(id, range, (no_put, no_delete), prev_kv, progress_notify, fragment)| {
            let start = 0;
            WatchSpec { id, range, start, no_put, no_delete, prev_kv, progress_notify, fragment }
        },
    )
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![1 => Just(Start::Now), 2 => any::<Index>().prop_map(Start::At)]
}

fn capacity() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0), 2 => Just(1), 2 => Just(100), 3 => Just(usize::MAX)]
}

fn store_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => writes().prop_map(Op::Write),
        4 => Just(Op::Commit),
        4 => any::<Index>().prop_map(Op::Release),
        1 => any::<Index>().prop_map(Op::Compact),
        2 => (1..5usize).prop_map(Op::Scrub),
        1 => (prop::collection::vec(writes(), 0..8), any::<Option<Index>>(), 0..20usize)
            .prop_map(|(writes, compact, n_scrubbed)| Op::Restore(writes, compact, n_scrubbed)),
    ]
}

fn client_op() -> impl Strategy<Value = Op> {
    let stream = any::<Index>;
    prop_oneof![
        2 => (capacity(), any::<bool>())
            .prop_map(|(capacity, requires_leader)| Op::Open { capacity, requires_leader }),
        1 => stream().prop_map(Op::Close),
        12 => (stream(), spec(), start()).prop_map(|(stream, spec, start)| Op::Create(stream, spec, start)),
        3 => (stream(), any::<Index>()).prop_map(|(stream, watch)| Op::Cancel(stream, watch)),
        1 => stream().prop_map(Op::CancelUnknown),
        4 => stream().prop_map(Op::Progress),
        4 => stream().prop_map(Op::Tick),
        4 => stream().prop_map(Op::Drain),
        4 => stream().prop_map(Op::Resume),
    ]
}

fn hub_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        60 => Just(Op::Advance),
        60 => Just(Op::CatchUp),
        40 => Just(Op::TakeRequest),
        30 => Just(Op::Read),
        30 => Just(Op::Supply),
        10 => Just(Op::Settle),
        2 => Just(Op::EndAll(End::NoLeader)),
        1 => Just(Op::EndAll(End::Stopped)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![store_op(), client_op(), hub_op()]
}

fn execute(harness: &mut Harness, op: &Op) {
    let revision =
        |harness: &Harness, index: &Index| index.index(harness.store.revision() as usize + 4) as i64 + 1;
    let stream = |harness: &Harness, index: &Index| index.index(harness.n_streams());
    match op {
        Op::Write(writes) => _ = harness.write(writes),
        Op::Commit => harness.commit(),
        Op::Release(index) => harness.release(revision(harness, index)),
        Op::Compact(index) => harness.compact(revision(harness, index)),
        Op::Scrub(limit) => _ = harness.scrub(*limit),
        Op::Restore(writes, compact, n_scrubbed) => {
            let compact = compact.map(|index| revision(harness, &index));
            harness.restore(writes, compact, *n_scrubbed);
        }
        Op::Open { capacity, requires_leader } => _ = harness.open(*capacity, *requires_leader),
        Op::Close(index) => harness.close(stream(harness, index)),
        Op::Create(index, spec, start) => {
            let start = match start {
                Start::Now => 0,
                Start::At(index) => revision(harness, index),
            };
            harness.create(stream(harness, index), WatchSpec { start, ..spec.clone() });
        }
        Op::Cancel(index, watch) => {
            let stream = stream(harness, index);
            let ids = harness.ids(stream);
            if !ids.is_empty() {
                harness.cancel(stream, *watch.get(&ids));
            }
        }
        Op::CancelUnknown(index) => harness.cancel(stream(harness, index), 77),
        Op::Progress(index) => harness.progress(stream(harness, index)),
        Op::Tick(index) => harness.tick(stream(harness, index)),
        Op::Drain(index) => harness.drain(stream(harness, index)),
        Op::Resume(index) => harness.resume(stream(harness, index)),
        Op::EndAll(end) => harness.end_all(*end),
        Op::Advance => harness.advance(),
        Op::CatchUp => _ = harness.catch_up(),
        Op::TakeRequest => _ = harness.take_request(),
        Op::Read => harness.read(),
        Op::Supply => harness.supply(),
        Op::Settle => _ = harness.settle(),
    }
}

fn harness() -> Harness {
    let mut harness = Harness::new();
    for capacity in [usize::MAX, 100] {
        harness.open(capacity, false);
    }
    harness
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_watch_receives_every_change_once(ops in prop::collection::vec(op(), 1..120)) {
        let mut harness = harness();
        for op in &ops {
            execute(&mut harness, op);
        }
        harness.finish();
    }

    #[test]
    fn at_once_means_all_at_once(
        writes in prop::collection::vec(writes(), 1..30),
        specs in prop::collection::vec(spec(), 1..30),
    ) {
        let mut harness = harness();
        for spec in &specs {
            harness.create(0, spec.clone());
        }
        for write in &writes {
            harness.write(write);
            harness.advance();
            prop_assert_eq!(harness.hub.counts().unsynced, 0, "a watch with room never falls behind");
        }
        harness.finish();
    }
}
