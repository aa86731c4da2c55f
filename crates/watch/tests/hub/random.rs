//! Random steps of everybody concerned, in any order.

use bytes::Bytes;
use ferretcd_base::KeyRange;
use ferretcd_watch::{End, WatchId, WatchSpec};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::world::{World, Write};

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
    Ask,
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
        40 => Just(Op::Ask),
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

fn execute(world: &mut World, op: &Op) {
    let revision = |world: &World, index: &Index| index.index(world.store.revision() as usize + 4) as i64 + 1;
    let stream = |world: &World, index: &Index| index.index(world.n_streams());
    match op {
        Op::Write(writes) => _ = world.write(writes),
        Op::Commit => world.commit(),
        Op::Release(index) => world.release(revision(world, index)),
        Op::Compact(index) => world.compact(revision(world, index)),
        Op::Scrub(limit) => _ = world.scrub(*limit),
        Op::Restore(writes, compact, n_scrubbed) => {
            let compact = compact.map(|index| revision(world, &index));
            world.restore(writes, compact, *n_scrubbed);
        }
        Op::Open { capacity, requires_leader } => _ = world.open(*capacity, *requires_leader),
        Op::Close(index) => world.close(stream(world, index)),
        Op::Create(index, spec, start) => {
            let start = match start {
                Start::Now => 0,
                Start::At(index) => revision(world, index),
            };
            world.create(stream(world, index), WatchSpec { start, ..spec.clone() });
        }
        Op::Cancel(index, watch) => {
            let stream = stream(world, index);
            let ids = world.ids(stream);
            if !ids.is_empty() {
                world.cancel(stream, *watch.get(&ids));
            }
        }
        Op::CancelUnknown(index) => world.cancel(stream(world, index), 77),
        Op::Progress(index) => world.progress(stream(world, index)),
        Op::Tick(index) => world.tick(stream(world, index)),
        Op::Drain(index) => world.drain(stream(world, index)),
        Op::Resume(index) => world.resume(stream(world, index)),
        Op::EndAll(end) => world.end_all(*end),
        Op::Advance => world.advance(),
        Op::CatchUp => _ = world.catch_up(),
        Op::Ask => _ = world.ask(),
        Op::Read => world.read(),
        Op::Supply => world.supply(),
        Op::Settle => _ = world.settle(),
    }
}

fn world() -> World {
    let mut world = World::new();
    for capacity in [usize::MAX, 100] {
        world.open(capacity, false);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everybody_is_told_everything_once(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = world();
        for op in &ops {
            execute(&mut world, op);
        }
        world.finish();
    }

    #[test]
    fn at_once_means_all_at_once(
        writes in prop::collection::vec(writes(), 1..30),
        specs in prop::collection::vec(spec(), 1..30),
    ) {
        let mut world = world();
        for spec in &specs {
            world.create(0, spec.clone());
        }
        for write in &writes {
            world.write(write);
            world.advance();
            prop_assert_eq!(world.hub.counts().behind, 0, "a watch with room never falls behind");
        }
        world.finish();
    }
}
