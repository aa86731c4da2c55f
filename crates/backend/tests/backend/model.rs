//! A backend against plain sorted maps.

use std::ops::Bound;

use crate::common::{Model, contents};
use bytes::Bytes;
use ferretcd_backend::{Backend, Batch, Bucket, Config, MemoryMedium};
use proptest::collection::vec;
use proptest::prelude::*;

/// Small enough that pages are evicted all the time.
const CONFIG: Config = Config { cache_bytes: 32 << 10 };

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Change>),
    /// A run of ascending keys, as revisions make them.
    Append {
        first: u8,
        n: u8,
    },
    Reopen,
    Range {
        bucket: Bucket,
        bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
        from_back: Vec<bool>,
    },
}

type Change = (Bucket, Vec<u8>, Option<Vec<u8>>);

fn bucket() -> impl Strategy<Value = Bucket> {
    // Few buckets are used often, so that their trees get deep enough to split and merge.
    prop_oneof![4 => Just(Bucket::Key), 1 => proptest::sample::select(Bucket::ALL.to_vec())]
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0_u8), Just(b'a'), Just(b'b'), Just(255)], 0..4)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => vec(any::<u8>(), 0..20), 2 => (any::<u8>(), 500_usize..3000).prop_map(|(byte, n)| vec![byte; n]),
        1 => (any::<u8>(), 5000_usize..30_000).prop_map(|(byte, n)| vec![byte; n])]
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![key().prop_map(Bound::Included), key().prop_map(Bound::Excluded), Just(Bound::Unbounded)]
}

fn step() -> impl Strategy<Value = Step> {
    let change = (bucket(), key(), proptest::option::weighted(0.7, value()));
    prop_oneof![
        5 => vec(change, 0..40).prop_map(Step::Commit),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(first, n)| Step::Append { first, n }),
        1 => Just(Step::Reopen),
        4 => (bucket(), (bound(), bound()), vec(any::<bool>(), 0..20))
            .prop_map(|(bucket, bounds, from_back)| Step::Range { bucket, bounds, from_back }),
    ]
}

/// Puts into the batch and the model alike.
fn change(batch: &mut Batch, model: &mut Model, (bucket, key, value): Change) {
    match value {
        Some(value) => {
            batch.put(bucket, key.clone(), value.clone());
            model.put(bucket, key, value);
        }
        None => {
            batch.delete(bucket, key.clone());
            model.delete(bucket, &key);
        }
    }
}

/// Takes rows from either end as given, then the rest from the front.
fn drain<T>(mut rows: impl DoubleEndedIterator<Item = T>, from_back: &[bool]) -> Vec<T> {
    let mut taken = Vec::new();
    for from_back in from_back {
        taken.extend(if *from_back { rows.next_back() } else { rows.next() });
    }
    taken.extend(rows);
    taken
}

fn as_slices(bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice))
}

/// Whether a sorted map of the standard library would panic at the bounds.
fn is_inverted(bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> bool {
    match bounds {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
            start >= end
        }
        _ => false,
    }
}

fn check(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let medium = MemoryMedium::new();
    let mut backend = Backend::open_on(medium.clone(), &CONFIG).expect("a new medium opens");
    let mut model = Model::default();
    for step in steps {
        let (before, model_before) = (backend.view(), model.clone());
        match step {
            Step::Commit(changes) => {
                let mut batch = Batch::default();
                changes.into_iter().for_each(|one| change(&mut batch, &mut model, one));
                backend.commit(&batch).expect("memory does not fail");
            }
            Step::Append { first, n } => {
                let mut batch = Batch::default();
                for i in 0..n {
                    let key = vec![b'r', first.wrapping_add(i)];
                    change(&mut batch, &mut model, (Bucket::Key, key, Some(vec![i; 100])));
                }
                backend.commit(&batch).expect("memory does not fail");
            }
            Step::Reopen => {
                drop((backend, before));
                backend = Backend::open_on(medium.clone(), &CONFIG).expect("it was closed in order");
                prop_assert_eq!(backend.size().rows, model.in_use());
                continue;
            }
            Step::Range { bucket, bounds, from_back } => {
                let rows = backend.view().range(bucket, as_slices(&bounds)).expect("memory does not fail");
                let rows = rows.map(|row| row.expect("memory does not fail"));
                let expected: Vec<(Bytes, Bytes)> = if is_inverted(&bounds) {
                    Vec::new()
                } else {
                    drain(model.rows(bucket).range::<Vec<u8>, _>(bounds), &from_back)
                        .into_iter()
                        .map(|(key, value)| (key.clone().into(), value.clone().into()))
                        .collect()
                };
                prop_assert_eq!(drain(rows, &from_back), expected);
            }
        }
        prop_assert_eq!(contents(&before), model_before, "an older view changed");
        prop_assert_eq!(contents(&backend.view()), model.clone());
        prop_assert_eq!(backend.size().rows, model.in_use());
        for bucket in Bucket::ALL {
            let count = backend.view().count(bucket).expect("memory does not fail");
            prop_assert_eq!(count, model.rows(bucket).len() as u64);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_sorted_maps(steps in vec(step(), 1..25)) {
        check(steps)?;
    }
}

#[test]
fn get_finds_what_range_shows_and_nothing_else() {
    let backend = Backend::in_memory();
    let mut batch = Batch::default();
    batch.put(Bucket::Lease, "b", "2");
    batch.put(Bucket::Lease, "d", "");
    backend.commit(&batch).expect("memory does not fail");
    let view = backend.view();
    let get = |bucket, key: &str| view.get(bucket, key.as_bytes()).expect("memory does not fail");
    assert_eq!(get(Bucket::Lease, "b").as_deref(), Some(&b"2"[..]));
    assert_eq!(get(Bucket::Lease, "d").as_deref(), Some(&b""[..]));
    for (bucket, key) in [(Bucket::Lease, "a"), (Bucket::Lease, "c"), (Bucket::Lease, ""), (Bucket::Key, "b")]
    {
        assert_eq!(get(bucket, key), None, "{bucket:?} {key}");
    }
}

#[test]
fn batch_counts_bytes_and_changes() {
    let mut batch = Batch::default();
    assert!(batch.is_empty());
    batch.put(Bucket::Key, "key", "value");
    batch.delete(Bucket::Key, "key");
    let mut other = Batch::default();
    other.put(Bucket::Meta, "k", "");
    batch.append(other);
    assert_eq!((batch.len(), batch.n_deletes(), batch.bytes(), batch.is_empty()), (3, 1, 12, false));
}
