//! The index against a map of all stamps, from which every result is computed anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use proptest::prelude::*;
use proptest::sample;

use super::*;

type Pair = (Bound<Vec<u8>>, Bound<Vec<u8>>);

#[derive(Clone, Debug)]
enum Write {
    Put(Vec<u8>, u32),
    DeleteRange(KeyRange),
    DeleteKeys(Vec<Vec<u8>>),
}

#[derive(Clone, Debug)]
enum Op {
    Txn(Vec<Write>),
    Compact(sample::Index),
    Measure { bounds: Pair, main: sample::Index, sub: Option<u8>, limit: usize },
    Scan { bounds: Pair, n_keys: usize },
}

/// Keys that are alike at their beginning, or not, or longer than what lies in a node.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => "[a-c]{0,3}".prop_map(String::into_bytes),
        1 => "registry/[ab]{0,6}".prop_map(String::into_bytes),
        1 => "a beginning longer than a node has room for/[a-c]{1,3}".prop_map(String::into_bytes),
        1 => prop::collection::vec(sample::select(&[0, 1, 0xff][..]), 0..6),
    ]
}

fn bounds() -> impl Strategy<Value = Pair> {
    let bound = || {
        prop_oneof![Just(Bound::Unbounded), key().prop_map(Bound::Included), key().prop_map(Bound::Excluded)]
    };
    (bound(), bound())
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        (key(), key()).prop_map(|(start, end)| KeyRange::Interval(start.into(), end.into())),
        key().prop_map(|key| KeyRange::From(key.into())),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        12 => (key(), 3..300u32).prop_map(|(key, row_bytes)| Write::Put(key, row_bytes)),
        1 => range().prop_map(Write::DeleteRange),
        2 => prop::collection::btree_set(key(), 0..9)
            .prop_map(|keys| Write::DeleteKeys(keys.into_iter().collect())),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => prop::collection::vec(write(), 0..12).prop_map(Op::Txn),
        1 => any::<sample::Index>().prop_map(Op::Compact),
        4 => (bounds(), any::<sample::Index>(), prop::option::of(0..12u8), 0..9usize)
            .prop_map(|(bounds, main, sub, limit)| Op::Measure { bounds, main, sub, limit }),
        2 => (bounds(), 1..9usize).prop_map(|(bounds, n_keys)| Op::Scan { bounds, n_keys }),
    ]
}

fn borrowed((start, end): &Pair) -> Bounds<'_> {
    (start.as_ref().map(|key| &key[..]), end.as_ref().map(|key| &key[..]))
}

fn contains((start, end): &Pair, key: &[u8]) -> bool {
    let starts = match start {
        Bound::Unbounded => true,
        Bound::Included(start) => &start[..] <= key,
        Bound::Excluded(start) => &start[..] < key,
    };
    let ends = match end {
        Bound::Unbounded => true,
        Bound::Included(end) => key <= &end[..],
        Bound::Excluded(end) => key < &end[..],
    };
    starts && ends
}

/// All stamps that there ever were, ascending for each key.
#[derive(Default)]
struct Model {
    keys: BTreeMap<Vec<u8>, Vec<Stamp>>,
    compacted: i64,
}

impl Model {
    fn at(&self, key: &[u8], at: Revision) -> Option<Stamp> {
        self.keys.get(key)?.iter().rfind(|stamp| stamp.revision() <= at).copied()
    }

    fn live<'a>(&'a self, bounds: &'a Pair, at: Revision) -> impl Iterator<Item = (&'a [u8], Stamp)> {
        let within = self.keys.keys().filter(|key| contains(bounds, key));
        let found = within.filter_map(move |key| Some((&key[..], self.at(key, at)?)));
        found.filter(|(_, stamp)| !stamp.is_tombstone())
    }

    fn measure(&self, bounds: &Pair, at: Revision, limit: usize) -> Extent {
        let mut extent = Extent::default();
        for (_, stamp) in self.live(bounds, at) {
            extent.count += 1;
            if limit == 0 || extent.rows < limit {
                extent.rows += 1;
                extent.bytes += stamp.listed_bytes();
            }
        }
        extent
    }

    /// Keys that the index has to have still.
    fn kept(&self) -> impl Iterator<Item = &[u8]> {
        let gone = |stamp: &Stamp| stamp.is_tombstone() && stamp.main < self.compacted;
        self.keys.iter().filter(move |(_, stamps)| !stamps.last().is_some_and(gone)).map(|(key, _)| &key[..])
    }
}

/// An index and its model, with the same changes.
struct Run {
    index: Arc<Index>,
    model: Model,
    current: i64,
}

impl Run {
    fn new(node_len_max: usize) -> Self {
        let index = Arc::new(Index::new(Tree::with_nodes_of(node_len_max)));
        Self { index, model: Model::default(), current: 1 }
    }

    fn everything() -> Pair {
        (Bound::Unbounded, Bound::Unbounded)
    }

    fn write(&mut self, writes: &[Write]) {
        let main = self.current + 1;
        let mut next = Revision::new(main, 0);
        for write in writes {
            match write {
                Write::Put(key, row_bytes) => {
                    let before = self.model.at(key, end_of(main)).filter(|stamp| !stamp.is_tombstone());
                    let (create, version) = before.map_or((main, 1), |it| (it.create, it.version + 1));
                    // The length depends on both numbers, as that of a row does.
                    let length = |create, version| row_bytes + u32::try_from(create + version).unwrap();
                    let stamp = Stamp::put(next, create, version, length(create, version));
                    assert_eq!(self.index.put(key, next, length), stamp);
                    self.model.keys.entry(key.clone()).or_default().push(stamp);
                    next.sub += 1;
                }
                Write::DeleteRange(range) => {
                    let mut deleted = Vec::new();
                    self.index.delete_range(range, next, |key| deleted.push(key.to_vec()));
                    self.deleted(&mut next, deleted, |key| range.contains(key));
                }
                Write::DeleteKeys(keys) => {
                    let mut deleted = Vec::new();
                    let ascending = keys.iter().map(|key| &key[..]);
                    self.index.delete_keys(ascending, next, |key| deleted.push(key.to_vec()));
                    self.deleted(&mut next, deleted, |key| keys.iter().any(|it| it == key));
                }
            }
            self.index.tree.read().check();
            // The transaction's own reads.
            let measured = self.index.measure((Bound::Unbounded, Bound::Unbounded), end_of(main), 3);
            assert_eq!(measured, self.model.measure(&Self::everything(), end_of(main), 3));
        }
        self.current += i64::from(next.sub > 0);
    }

    fn deleted(&mut self, next: &mut Revision, deleted: Vec<Vec<u8>>, selects: impl Fn(&[u8]) -> bool) {
        let everything = Self::everything();
        let expected = self.model.live(&everything, end_of(next.main)).map(|(key, _)| key);
        assert!(expected.filter(|key| selects(key)).eq(deleted.iter().map(|key| &key[..])));
        for key in deleted {
            self.model.keys.entry(key).or_default().push(Stamp::tombstone(*next));
            next.sub += 1;
        }
    }

    fn compact(&mut self, main: i64) {
        self.model.compacted = main;
        for (n, key) in self.model.keys.keys().enumerate() {
            _ = self.index.compact(key, main);
            if n % 20 == 0 {
                self.index.tree.read().check();
            }
        }
    }

    fn execute(&mut self, op: &Op) {
        let first = self.model.compacted.max(1);
        let some_main =
            |index: &sample::Index| first + index.index((self.current + 1 - first) as usize) as i64;
        match op {
            Op::Txn(writes) => self.write(writes),
            Op::Compact(main) => self.compact(some_main(main)),
            Op::Measure { bounds, main, sub, limit } => {
                let main = some_main(main);
                // Within the compacted transaction there is nothing to be read.
                let sub = sub.filter(|_| main > self.model.compacted);
                let at = sub.map_or(end_of(main), |sub| Revision::new(main, i64::from(sub)));
                let measured = self.index.measure(borrowed(bounds), at, *limit);
                assert_eq!(measured, self.model.measure(bounds, at, *limit), "at {at}");
                for key in self.model.keys.keys() {
                    let live = |stamp: &Stamp| !stamp.is_tombstone();
                    let found = self.index.at(key, at).filter(live);
                    assert_eq!(found, self.model.at(key, at).filter(live), "{key:?} at {at}");
                }
            }
            Op::Scan { bounds, n_keys } => self.scan(bounds, *n_keys),
        }
        self.check();
    }

    fn scan(&self, bounds: &Pair, n_keys: usize) {
        let expected: Vec<_> = self.model.kept().filter(|key| contains(bounds, key)).collect();
        let mut seen = Vec::new();
        let (start, end) = borrowed(bounds);
        let mut next = Some(start);
        let mut last;
        while let Some(start) = next {
            last = self.index.scan((start, end), KeyOrder::Ascending, n_keys, |key, _| {
                seen.push(key.to_vec());
                ControlFlow::Continue(())
            });
            next = last.as_ref().map(|key| Bound::Excluded(&key[..]));
        }
        assert_eq!(seen, expected);
        seen.clear();
        let mut next = Some(end);
        while let Some(end) = next {
            last = self.index.scan((start, end), KeyOrder::Descending, n_keys, |key, _| {
                seen.push(key.to_vec());
                ControlFlow::Continue(())
            });
            next = last.as_ref().map(|key| Bound::Excluded(&key[..]));
        }
        seen.reverse();
        assert_eq!(seen, expected);
        let nothing =
            self.index.scan((start, end), KeyOrder::Ascending, n_keys, |_, _| ControlFlow::Break(()));
        assert_eq!(nothing, None);
    }

    fn check(&self) {
        self.index.tree.read().check();
        assert_eq!(self.index.n_live(), self.model.live(&Self::everything(), end_of(i64::MAX)).count());
    }
}

proptest! {
    #[test]
    fn the_index_is_the_map_of_all_stamps(
        node_len_max in sample::select(&[2, 3, 4, 32][..]),
        ops in prop::collection::vec(op(), 0..24),
    ) {
        let mut run = Run::new(node_len_max);
        for op in &ops {
            run.execute(op);
        }
    }
}

/// Numbers that look random, from a seed.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |end| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    }
}

fn nth_key(n: u64) -> Vec<u8> {
    format!("registry/{n:04}").into_bytes()
}

#[test]
fn keys_come_in_any_order_and_go_in_any_order() {
    for (step, node_len_max) in [(1, 4), (999, 4), (617, 4), (617, 32)] {
        let mut run = Run::new(node_len_max);
        let order: Vec<_> = (0..1_000).map(|n| nth_key(n * step % 1_000)).collect();
        for keys in order.chunks(50) {
            run.write(&keys.iter().map(|key| Write::Put(key.clone(), 9)).collect::<Vec<_>>());
        }
        run.scan(&Run::everything(), 7);
        for range in [KeyRange::Interval(nth_key(100).into(), nth_key(900).into()), KeyRange::all()] {
            run.write(&[Write::DeleteRange(range)]);
            run.write(&[Write::Put(b"last".to_vec(), 9)]);
            run.compact(run.current);
            run.check();
        }
    }
}

#[test]
fn what_has_not_changed_is_not_looked_at() {
    let mut run = Run::new(4);
    for n in 0..500 {
        run.write(&[Write::Put(nth_key(n), 9)]);
    }
    let tree = run.index.tree.read();
    let seen = |bounds, at, limit| {
        let mut measuring = Measuring::new(end_of(at), limit);
        measuring.seen_max = usize::MAX;
        assert_eq!(tree.measure(bounds, &mut measuring), None);
        measuring.n_seen
    };
    let (everything, from) = ((Bound::Unbounded, Bound::Unbounded), nth_key(111));
    let most = (Bound::Excluded(&from[..]), Bound::Unbounded);
    assert_eq!(seen(everything, run.current, 0), 1);
    assert!(seen(everything, run.current, 123) < 50);
    assert!(seen(most, run.current, 123) < 50);
    assert!(seen(everything, run.current - 5, 0) < 50);
    assert!(seen(everything, run.current / 2, 0) > 100);
}

/// Threads measure at published revisions while the writer goes on. What they have seen is compared with a
/// computation from all stamps afterwards.
#[test]
fn readers_beside_the_writer_measure_whole_transactions() {
    const N_TXNS: i64 = 400;
    let mut run = Run::new(4);
    // So that leaves and inner nodes are there from the beginning.
    run.write(&(0..60).map(|n| Write::Put(nth_key(n), 9)).collect::<Vec<_>>());
    let published = AtomicI64::new(run.current);
    let index = Arc::clone(&run.index);

    let read = |seed: u64| {
        let (mut next, mut seen) = (numbers(seed), Vec::new());
        loop {
            let newest = published.load(Ordering::Acquire);
            let main = newest - next(3).min(newest as u64 - 2) as i64;
            let at = if next(4) > 0 { end_of(main) } else { Revision::new(main, next(4) as i64) };
            let (start, end, limit) = (next(90), next(120), next(40) as usize);
            let bounds = (Bound::Included(nth_key(start)), Bound::Excluded(nth_key(end)));
            let bounds = if next(3) == 0 { Run::everything() } else { bounds };
            let extent = index.measure(borrowed(&bounds), at, limit);
            seen.push((bounds, at, limit, extent));
            if newest > N_TXNS {
                return seen;
            }
        }
    };
    let mut next = numbers(7);
    let mut txn = |main: i64| {
        let write = |_| match next(12) {
            0 => Write::DeleteRange(KeyRange::Interval(nth_key(next(90)).into(), nth_key(next(90)).into())),
            1 => Write::DeleteKeys((0..5).map(|n| nth_key(17 * n + main as u64 % 17)).collect()),
            _ => Write::Put(nth_key(next(90)), 9 + next(200) as u32),
        };
        (0..4).map(write).collect::<Vec<_>>()
    };
    let seen = thread::scope(|scope| {
        let readers = [1, 2].map(|seed| {
            let read = &read;
            scope.spawn(move || read(seed))
        });
        while run.current <= N_TXNS {
            run.write(&txn(run.current));
            published.store(run.current, Ordering::Release);
        }
        readers.map(|reader| reader.join().expect("a reader does not panic"))
    });
    for (bounds, at, limit, extent) in seen.into_iter().flatten() {
        assert_eq!(extent, run.model.measure(&bounds, at, limit), "{bounds:?} at {at} with {limit}");
    }
}
