//! Crashes and failures at every write and every sync of a backend's life.

use crate::common::{Model, Numbers, contents};
use ferretcd_backend::{Backend, Batch, Bucket, Config, Error, MemoryMedium};

/// Less than a commit needs, so that pages are written before the commit and read again after a failure.
const CONFIG: Config = Config { cache_bytes: 16 << 10 };
const N_COMMITS: u64 = 5;
const MARK: &[u8] = b"consistent_index";

/// Batches and the state after each; the state at index `i` has `i` as its mark.
fn workload(seed: u64) -> (Vec<Batch>, Vec<Model>) {
    let mut numbers = Numbers(seed);
    let (mut batches, mut states) = (Vec::new(), vec![Model::default()]);
    for index in 1..=N_COMMITS {
        let (mut batch, mut state) = (Batch::default(), states[states.len() - 1].clone());
        for change in 0..15 + numbers.below(30) {
            let bucket = if change % 4 == 0 { Bucket::Lease } else { Bucket::Key };
            let key = if change % 3 == 0 { numbers.below(100) } else { index * 100 + change }.to_be_bytes();
            if numbers.below(4) == 0 {
                batch.delete(bucket, key.to_vec());
                state.delete(bucket, &key);
            } else {
                let n_bytes = if numbers.below(20) == 0 { 9000 } else { numbers.below(600) };
                let value = vec![index as u8; n_bytes as usize];
                batch.put(bucket, key.to_vec(), value.clone());
                state.put(bucket, key.to_vec(), value);
            }
        }
        // A row that makes the medium grow, and its removal, after which the medium shrinks.
        if index == 2 {
            batch.put(Bucket::Auth, "large", vec![2; 600_000]);
            state.put(Bucket::Auth, b"large".to_vec(), vec![2; 600_000]);
        } else if index == 4 {
            batch.delete(Bucket::Auth, "large");
            state.delete(Bucket::Auth, b"large");
        }
        batch.put(Bucket::Meta, MARK, index.to_be_bytes().to_vec());
        state.put(Bucket::Meta, MARK.to_vec(), index.to_be_bytes().to_vec());
        batches.push(batch);
        states.push(state);
    }
    (batches, states)
}

/// The medium after a life that ended with the failure of the change after the `n`-th, and how many commits
/// had returned by then. The life is over: every handle is dropped.
fn live(batches: &[Batch], states: &[Model], n: usize) -> (MemoryMedium, usize) {
    let medium = MemoryMedium::new();
    medium.fail_after(n);
    let Ok(backend) = Backend::open_on(medium.clone(), &CONFIG) else { return (medium, 0) };
    let failed_at = batches.iter().position(|batch| backend.commit(batch).is_err());
    let n_durable = failed_at.unwrap_or(batches.len());
    assert_eq!(contents(&backend.view()), states[n_durable], "views stay readable and show the last success");
    if failed_at.is_some() {
        assert!(matches!(backend.commit(&batches[0]), Err(Error::Poisoned)), "a failure is final");
        assert_eq!(contents(&backend.view()), states[n_durable]);
    }
    (medium, n_durable)
}

/// Opens what a crash left and checks that it is the state of one commit, not older than what had returned.
fn check_image(image: &MemoryMedium, states: &[Model], n_durable: usize) -> usize {
    let backend = Backend::open_on(image.clone(), &CONFIG).expect("a crash leaves a file that opens");
    let found = contents(&backend.view());
    let index = states.iter().position(|state| *state == found).expect("it is the state of one commit");
    assert!(index == n_durable || index == n_durable + 1, "found {index}, {n_durable} had returned");
    assert!(index == 0 || !backend.was_scanned(), "a file with rows opens without being scanned");
    assert_eq!(backend.size().rows, found.in_use());
    index
}

/// The file after a crash is not only readable: it takes the next commit and survives the next crash.
fn check_goes_on(image: &MemoryMedium, batches: &[Batch], states: &[Model], index: usize) {
    let Some(batch) = batches.get(index) else { return };
    let backend = Backend::open_on(image.clone(), &CONFIG).expect("it opened before");
    backend.commit(batch).expect("memory does not fail");
    drop(backend);
    assert_eq!(check_image(&image.crash(|| false), states, index + 1), index + 1);
}

/// Calls `check` for the life up to each change, until one life has no failure any more.
fn for_each_cut(seed: u64, mut check: impl FnMut(&[Batch], &[Model], &MemoryMedium, usize)) {
    let (batches, states) = workload(seed);
    for n in 0.. {
        let (medium, n_durable) = live(&batches, &states, n);
        check(&batches, &states, &medium, n_durable);
        if n_durable == batches.len() {
            return;
        }
    }
}

#[test]
fn a_crash_leaves_the_state_of_one_commit() {
    let mut numbers = Numbers(11);
    for_each_cut(11, |batches, states, medium, n_durable| {
        // A prefix of what was not synced, and two random parts of it.
        let mut left = numbers.below(medium.n_unsynced() as u64 + 1);
        let images = [
            medium.crash(|| false),
            medium.crash(|| true),
            medium.crash(|| {
                let keep = left > 0;
                left = left.saturating_sub(1);
                keep
            }),
            medium.crash(|| numbers.below(2) != 0),
            medium.crash(|| numbers.below(8) != 0),
        ];
        for image in images {
            let index = check_image(&image, states, n_durable);
            if numbers.below(5) == 0 {
                check_goes_on(&image, batches, states, index);
            }
        }
    });
}

#[test]
fn a_crash_during_the_recovery_from_a_crash_is_survived() {
    let mut numbers = Numbers(12);
    for_each_cut(12, |_, states, medium, n_durable| {
        let image = medium.crash(|| numbers.below(2) == 0);
        image.fail_after(numbers.below(6) as usize);
        drop(Backend::open_on(image.clone(), &CONFIG));
        check_image(&image.crash(|| numbers.below(2) == 0), states, n_durable);
    });
}
