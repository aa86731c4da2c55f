//! Damaged bytes: each is noticed or harmless, and none leads redb astray.

use std::ops::Bound;
use std::sync::{Arc, Mutex};

use ferretcd_backend::{Backend, Batch, Bucket, Config, Error, Medium, MemoryMedium, View};

use crate::common::{Model, Numbers};

/// Few pages, so that most are read from the medium again and again.
const CONFIG: Config = Config { cache_bytes: 64 << 10 };
const PAGE: u64 = 4096;
const HEADER: u64 = 320;

/// A medium after the life of a backend, and the states after its last two commits, the newest first.
struct Life {
    medium: MemoryMedium,
    states: [Model; 2],
}

/// Some thousand rows with short and long values, most of which are replaced or deleted. Ends in order or not.
fn live(is_closed: bool) -> Life {
    let medium = MemoryMedium::new();
    let backend = Backend::open_on(medium.clone(), &CONFIG).expect("memory does not fail");
    let (mut numbers, mut model, mut previous) = (Numbers(5), Model::default(), Model::default());
    for commit in 0..12 {
        previous.clone_from(&model);
        let mut batch = Batch::default();
        for _ in 0..400 {
            let bucket = if numbers.below(10) == 0 { Bucket::Lease } else { Bucket::Key };
            let key = numbers.below(4000).to_be_bytes();
            if commit > 6 && numbers.below(3) == 0 {
                batch.delete(bucket, key.to_vec());
                model.delete(bucket, &key);
            } else {
                let n_bytes = if numbers.below(50) == 0 { 20_000 } else { numbers.below(300) };
                let value = vec![commit; n_bytes as usize];
                batch.put(bucket, key.to_vec(), value.clone());
                model.put(bucket, key.to_vec(), value);
            }
        }
        backend.commit(&batch).expect("memory does not fail");
    }
    let killed = medium.crash(|| true);
    drop(backend);
    Life { medium: if is_closed { medium } else { killed }, states: [model, previous] }
}

/// Changes some bytes at `offset`.
fn change(medium: &MemoryMedium, offset: u64, len: u64, change: impl FnMut(&mut u8)) {
    let len = len.min(medium.len().expect("memory does not fail") - offset);
    let mut bytes = vec![0; len as usize];
    medium.read(offset, &mut bytes).expect("it is within the medium");
    bytes.iter_mut().for_each(change);
    medium.write(offset, &bytes).expect("it is within the medium");
}

/// Where the pages are that were ever written.
fn written_pages(medium: &MemoryMedium) -> Vec<u64> {
    let len = medium.len().expect("memory does not fail");
    let is_written = |page: &u64| {
        let mut bytes = vec![0; PAGE as usize];
        medium.read(*page, &mut bytes).expect("it is within the medium");
        bytes.iter().any(|byte| *byte != 0)
    };
    (1..len / PAGE).map(|index| index * PAGE).filter(is_written).collect()
}

/// Damages the medium somehow, in one of the pages or in the header.
fn damage(medium: &MemoryMedium, pages: &[u64], numbers: &mut Numbers) -> String {
    let len = medium.len().expect("memory does not fail");
    // The header is small, and where every byte counts.
    let place = match numbers.below(5) {
        0 => numbers.below(HEADER),
        _ => pages[numbers.below(pages.len() as u64) as usize] + numbers.below(PAGE),
    };
    let page = place / PAGE * PAGE;
    match numbers.below(10) {
        0..4 => {
            let bit = numbers.below(8);
            change(medium, place, 1, |byte| *byte ^= 1 << bit);
            format!("bit {bit} of byte {place}")
        }
        4..6 => {
            change(medium, place, 8, |byte| *byte = numbers.below(256) as u8);
            format!("eight bytes at {place}")
        }
        6 => {
            change(medium, page, PAGE, |byte| *byte = 0);
            format!("zeros at {page}")
        }
        7 => {
            let from = numbers.below(len / PAGE) * PAGE;
            let mut other = vec![0; PAGE as usize];
            medium.read(from, &mut other).expect("it is within the medium");
            medium.write(page, &other).expect("it is within the medium");
            format!("the page {from} at {page}")
        }
        8 => {
            medium.set_len(place).expect("memory does not fail");
            format!("cut at {place}")
        }
        _ => {
            let more = (1 + numbers.below(100)) * [1, PAGE][numbers.below(2) as usize];
            medium.set_len(len + more).expect("memory does not fail");
            format!("longer by {more}")
        }
    }
}

/// All rows, or the first error.
fn try_contents(view: &View) -> Result<Model, Error> {
    let mut model = Model::default();
    for bucket in Bucket::ALL {
        for row in view.range(bucket, (Bound::Unbounded, Bound::Unbounded))? {
            let (key, value) = row?;
            model.put(bucket, key.to_vec(), value.to_vec());
        }
        assert_eq!(view.count(bucket)?, model.rows(bucket).len() as u64);
    }
    Ok(model)
}

#[derive(Debug, Default)]
struct Outcomes {
    refused: u32,
    failed_later: u32,
    served: u32,
}

fn assert_says_what_to_do(text: &str) {
    assert!(
        text.contains("the given medium") && text.contains("restore this member from a snapshot"),
        "{text}"
    );
}

/// Opens a damaged medium, reads all, writes, and reads all again.
fn try_to_use(life: &Life, medium: MemoryMedium, what: &str, outcomes: &mut Outcomes) {
    let backend = match Backend::open_on(medium, &CONFIG) {
        Ok(backend) => backend,
        Err(error) => {
            assert_says_what_to_do(&error.to_string());
            outcomes.refused += 1;
            return;
        }
    };
    let checked = backend.check();
    let mut batch = Batch::default();
    (0..50_u64).for_each(|i| batch.put(Bucket::Key, (i * 80).to_be_bytes().to_vec(), vec![9; 500]));
    let before = try_contents(&backend.view());
    let after = backend.commit(&batch).and_then(|()| try_contents(&backend.view()));
    let Ok(before) = before else {
        assert!(checked.is_err(), "the check has noticed it: {what}");
        assert_says_what_to_do(&before.expect_err("it failed").to_string());
        assert_says_what_to_do(&after.expect_err("a failure is final").to_string());
        outcomes.failed_later += 1;
        return;
    };
    assert!(life.states.contains(&before), "rows that were never committed: {what}");
    match after {
        Err(error) => {
            assert!(checked.is_err(), "the check has noticed it: {what}");
            assert_says_what_to_do(&error.to_string());
            outcomes.failed_later += 1;
        }
        Ok(after) => {
            let mut expected = before;
            (0..50_u64)
                .for_each(|i| expected.put(Bucket::Key, (i * 80).to_be_bytes().to_vec(), vec![9; 500]));
            assert_eq!(after, expected, "{what}");
            outcomes.served += 1;
        }
    }
}

#[test]
fn damage_is_noticed_or_harmless() {
    for (is_closed, seeds) in [(true, 0..150), (false, 150..300)] {
        let life = live(is_closed);
        let pages = written_pages(&life.medium);
        let mut outcomes = Outcomes::default();
        for seed in seeds {
            let mut numbers = Numbers(1 + seed * 7919);
            let medium = life.medium.crash(|| true);
            let what = format!("seed {seed}, closed: {is_closed}, {}", damage(&medium, &pages, &mut numbers));
            try_to_use(&life, medium, &what, &mut outcomes);
        }
        // A debug build of redb reads all pages when it opens a file.
        let n_noticed = outcomes.refused + outcomes.failed_later;
        assert!(n_noticed > 50 && outcomes.served > 20, "{outcomes:?}");
    }
}

/// What is read after the damage was done is compared too, and what has failed once stays failed, with one reason.
#[test]
fn damage_under_an_open_backend_ends_it_with_the_reason() {
    let life = live(true);
    let pages = written_pages(&life.medium);
    let mut n_failed = 0;
    for seed in 0..60 {
        let mut numbers = Numbers(1 + seed * 104_729);
        let medium = life.medium.crash(|| true);
        let backend = Backend::open_on(medium.clone(), &CONFIG).expect("it is whole");
        let reported = Arc::new(Mutex::new(Vec::new()));
        let reports = Arc::clone(&reported);
        backend.on_read_failure(move |error| reports.lock().expect("no panic").push(error.to_string()));
        for _ in 0..20 {
            let page = pages[numbers.below(pages.len() as u64) as usize];
            change(&medium, page + numbers.below(PAGE), 1, |byte| *byte ^= 16);
        }
        let mut model = life.states[0].clone();
        let failed = (0..4).find_map(|round| {
            let mut batch = Batch::default();
            for _ in 0..100 {
                let (key, value) = (numbers.below(4000).to_be_bytes().to_vec(), vec![100 + round; 300]);
                batch.put(Bucket::Key, key.clone(), value.clone());
                model.put(Bucket::Key, key, value);
            }
            let done = backend.commit(&batch).and_then(|()| try_contents(&backend.view()));
            done.map(|found| assert!(found == model, "rows that were never committed")).err()
        });
        let reported = reported.lock().expect("no panic").clone();
        let Some(error) = failed else {
            assert_eq!(reported, [""; 0]);
            continue;
        };
        n_failed += 1;
        assert_says_what_to_do(&error.to_string());
        assert_eq!(reported, [error.to_string()], "the first failure is reported, once");
        let later = try_contents(&backend.view()).expect_err("no read is possible any more");
        assert_eq!(later.to_string(), error.to_string());
    }
    assert!(n_failed > 40, "{n_failed}");
}

/// What redb trusts of a header is compared before redb sees it.
#[test]
fn contradictions_in_the_header_are_named() {
    let life = live(true);
    let check = |place: u64, bits: u8, expected: &str| {
        let medium = life.medium.crash(|| true);
        change(&medium, place, 1, |byte| *byte ^= bits);
        let error = Backend::open_on(medium, &CONFIG).expect_err("it is damaged").to_string();
        assert!(error.contains(expected), "{error}");
        assert_says_what_to_do(&error);
    };
    check(3, 1, "is not a database, or one with a damaged beginning");
    check(9, 64, "it is damaged: its header has flags that do not exist");
    for place in [12, 15, 16, 20, 22] {
        check(place, 1, "it is damaged: its header has another page size than any state file");
    }
    for place in [24, 27, 30, 31] {
        check(place, 1, "it is damaged: it is shorter than its header says");
    }
    let mut slot = [0; 1];
    life.medium.read(9, &mut slot).expect("it is within the medium");
    let slot = 64 + 128 * u64::from(slot[0] & 1);
    for place in [slot, slot + 9, slot + 50, slot + 110, slot + 120] {
        check(place, 1, "slot of its header does not match its checksum");
    }
}
