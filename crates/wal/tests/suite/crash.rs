//! Cuts the power at every byte and before every sync, opens what is left, and compares with a model.

use std::sync::{Arc, Mutex};

use crate::common::{METADATA, config, entries, entry, mark};
use crate::model::{History, Model};
use crate::watched::Watched;
use ferretcd_testkit::Random;
use ferretcd_wal::{Entry, Error, HardState, MemDir, SnapshotMark, Wal};
use proptest::prelude::*;

/// Small enough that the workloads cut often, large enough that records share sectors.
const SEGMENT_BYTES: u64 = 1200;

/// A log, what it should contain, and the disk under both.
struct Run {
    disk: Watched,
    wal: Wal,
    history: Arc<Mutex<History>>,
}

impl Run {
    /// A new log on `disk`. Before each sync, `look` gets the disk and the states that may be found on it.
    fn create(mut look: impl FnMut(&MemDir, Option<&History>) + Send + 'static) -> Self {
        let history = Arc::new(Mutex::new(History::new(Model::new())));
        let created = Arc::new(Mutex::new(false));
        let (seen, is_created) = (Arc::clone(&history), Arc::clone(&created));
        let disk = Watched::new(MemDir::new(), move |dir| {
            let is_created = *is_created.lock().unwrap();
            look(dir, is_created.then_some(&*seen.lock().unwrap()));
        });
        let wal = Wal::create_on(disk.clone(), METADATA, config(SEGMENT_BYTES)).unwrap();
        *created.lock().unwrap() = true;
        Self { disk, wal, history }
    }

    fn now(&self) -> Model {
        self.history.lock().unwrap().now().clone()
    }

    fn append(&mut self, entries: &[Entry], state: Option<HardState>) {
        let states = self.now().append(entries, state);
        self.history.lock().unwrap().extend(states);
        self.wal.append(entries, state).unwrap();
    }

    fn sync(&mut self) {
        self.wal.sync().unwrap();
        self.history.lock().unwrap().all_is_durable();
    }

    fn mark(&mut self, mark: &SnapshotMark) {
        let states = self.now().mark(mark.clone());
        self.history.lock().unwrap().extend(states);
        self.wal.mark_snapshot(mark).unwrap();
        self.history.lock().unwrap().all_is_durable();
    }
}

/// Opens what a crash left: it is a state that may be found, it is found again, and the log goes on from there.
fn check(found_on: &MemDir, history: Option<&History>) {
    let opened = Wal::open_on(found_on.clone(), config(SEGMENT_BYTES));
    let Some(history) = history else {
        // Before the creation returned there may be no log. If there is one, it is empty.
        match opened {
            Ok((_, found)) => assert_eq!(found, Model::new().recovered()),
            Err(e) => assert!(matches!(e, Error::NotFound { .. }), "{e}"),
        }
        return;
    };
    let (wal, mut found) = opened.unwrap();
    history.find(&found);
    drop(wal);

    // Everything found is durable.
    let again = found_on.crash();
    let (mut wal, found_again) = Wal::open_on(again.clone(), config(SEGMENT_BYTES)).unwrap();
    assert_eq!(found_again, found);

    let last = found.entries.last().map_or(found.snapshot.index, |e| e.index);
    let next = entry(9, last + 1, 300);
    wal.append(std::slice::from_ref(&next), None).unwrap();
    wal.sync().unwrap();
    found.entries.push(next);
    let (_, continued) = Wal::open_on(again.crash(), config(SEGMENT_BYTES)).unwrap();
    assert_eq!(continued, found);

    // Lost records do not come back when the log has grown past them.
    let more = entries(9, last + 2..=last + 40, 0);
    let hard_state = HardState { term: 9, vote: 0, commit: last + 40 };
    wal.append(&more, Some(hard_state)).unwrap();
    wal.sync().unwrap();
    found.entries.extend(more);
    found.hard_state = hard_state;
    let (_, grown) = Wal::open_on(again.crash(), config(SEGMENT_BYTES)).unwrap();
    assert_eq!(grown, found);
}

/// All that a log does: appends with and without sync, cuts, conflicts, marks behind and ahead, releases.
fn workload(run: &mut Run) {
    let state = |term, vote, commit| Some(HardState { term, vote, commit });
    run.append(&entries(1, 1..=2, 20), state(1, 7, 0));
    run.sync();
    run.append(&[], state(1, 7, 2));
    run.append(&entries(1, 3..=3, 900), state(1, 7, 2));
    run.append(&entries(1, 4..=4, 0), None);
    run.sync();
    run.append(&entries(1, 5..=8, 130), None);
    run.sync();
    run.append(&entries(2, 6..=7, 40), state(2, 0, 5));
    run.sync();
    run.append(&entries(2, 8..=9, 10), state(2, 3, 8));
    run.append(&entries(2, 10..=10, 512), state(2, 3, 9));
    run.mark(&mark(9, 2));
    assert!(run.wal.release(9, 1).unwrap() > 0);
    run.append(&entries(2, 11..=12, 200), state(2, 3, 10));
    run.sync();
    // A state received from the leader: ahead of the log, and of what is known to be committed.
    run.mark(&mark(30, 2));
    run.append(&entries(2, 31..=34, 250), state(2, 3, 31));
    run.sync();
    // One that contradicts entries, of which some were synced; of a term that is new here.
    run.append(&entries(2, 35..=36, 30), None);
    run.mark(&mark(33, 4));
    run.append(&entries(4, 34..=35, 60), state(5, 1, 34));
    run.sync();
    // One that the log has already, committed or not.
    run.append(&entries(5, 36..=38, 40), state(5, 1, 35));
    run.sync();
    run.mark(&mark(37, 5));
    run.append(&entries(5, 39..=39, 0), None);
    run.sync();
    assert!(run.wal.release(37, 1).unwrap() > 0);
    run.disk.look();
}

#[test]
fn cut_at_every_byte_before_every_sync() {
    let mut run = Run::create(|dir, history| {
        for n in 0..=dir.n_unsynced() {
            check(&dir.crash_after(n), history);
        }
    });
    workload(&mut run);
}

/// A crash while a log is created leaves no log, which is created again, or the whole.
#[test]
fn a_log_is_created_as_a_whole() {
    let founding = (entries(1, 1..=3, 700), HardState { term: 1, vote: 0, commit: 3 });
    let create = {
        let (entries, state) = founding.clone();
        move |dir| Wal::create_with_on(dir, METADATA, &entries, Some(state), config(SEGMENT_BYTES))
    };
    let check = {
        let create = create.clone();
        move |left: MemDir| {
            if let Err(error) = Wal::open_on(left.clone(), config(SEGMENT_BYTES)) {
                assert!(matches!(error, Error::NotFound { .. }), "{error}");
                drop(create(Watched::new(left.clone(), |_| {})).unwrap());
            }
            let (_, found) = Wal::open_on(left.crash(), config(SEGMENT_BYTES)).unwrap();
            assert_eq!((found.entries, found.hard_state), founding);
        }
    };
    let mut random = Random::new(2);
    let disk = Watched::new(MemDir::new(), move |dir| {
        (0..=dir.n_unsynced()).for_each(|n| check(dir.crash_after(n)));
        (0..40).for_each(|_| check(dir.crash_keeping(|_| random.chance(50))));
    });
    create(disk.clone()).unwrap();
    disk.look();
}

#[test]
fn any_sectors_may_be_missing() {
    let mut random = Random::new(1);
    let mut run = Run::create(move |dir, history| {
        for _ in 0..40 {
            check(&dir.crash_keeping(|_| random.chance(50)), history);
        }
    });
    workload(&mut run);
}

#[derive(Debug, Clone)]
enum Step {
    Append {
        n: u64,
        len: usize,
        replaced: u64,
        commit: u64,
    },
    Sync,
    Mark {
        ahead: u64,
    },
    /// A state from a leader of another term, inside the log.
    Contradict {
        behind: u64,
    },
    Release {
        keep: usize,
    },
    Crash {
        seed: u64,
    },
    Cut {
        percent: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5u64, 0..1000usize, 0..3u64, 0..4u64)
            .prop_map(|(n, len, replaced, commit)| Step::Append { n, len, replaced, commit }),
        3 => Just(Step::Sync),
        1 => prop_oneof![3 => Just(0), 1 => 1..9u64].prop_map(|ahead| Step::Mark { ahead }),
        1 => (0..4u64).prop_map(|behind| Step::Contradict { behind }),
        1 => (0..4usize).prop_map(|keep| Step::Release { keep }),
        1 => (1..u64::MAX).prop_map(|seed| Step::Crash { seed }),
        1 => (0..=100u64).prop_map(|percent| Step::Cut { percent }),
    ]
}

fn perform(step: Step, disk: &mut MemDir, wal: &mut Option<Wal>, history: &mut History) {
    let open = wal.as_mut().expect("always open between steps");
    match step {
        Step::Append { n, len, replaced, commit } => {
            let now = history.now();
            let HardState { term, commit: before, .. } = now.hard_state;
            // Committed entries are never replaced, and what replaces others is of a higher term.
            let first = (now.last_index() + 1 - replaced.min(now.last_index())).max(before + 1);
            let term = if first <= now.last_index() || term == 0 { term + 1 } else { term };
            let new: Vec<_> = (first..first + n).map(|index| entry(term, index, len)).collect();
            let last = first + n - 1;
            let state = HardState { term, vote: term % 3, commit: (before + commit).min(last.max(before)) };
            history.extend(now.append(&new, Some(state)));
            open.append(&new, Some(state)).unwrap();
        }
        Step::Sync => {
            open.sync().unwrap();
            history.all_is_durable();
        }
        Step::Mark { ahead } => {
            let now = history.now();
            let index = if ahead > 0 { now.last_index() + ahead } else { now.hard_state.commit };
            if now.hard_state.term == 0 || index <= now.recovered().snapshot.index {
                return;
            }
            let replaced = now.entries.iter().find(|e| e.index == index);
            let mark = mark(index, replaced.map_or(now.hard_state.term, |e| e.term));
            history.extend(now.mark(mark.clone()));
            open.mark_snapshot(&mark).unwrap();
            history.all_is_durable();
        }
        Step::Contradict { behind } => {
            let now = history.now();
            let index = now.last_index().saturating_sub(behind);
            if now.hard_state.term == 0 || index <= now.hard_state.commit.max(now.recovered().snapshot.index)
            {
                return;
            }
            let mark = mark(index, now.hard_state.term + 1);
            history.extend(now.mark(mark.clone()));
            open.mark_snapshot(&mark).unwrap();
            history.all_is_durable();
        }
        Step::Release { keep } => {
            open.release(u64::MAX, keep).unwrap();
        }
        Step::Crash { seed } => {
            let mut random = Random::new(seed);
            *disk = disk.crash_keeping(|_| random.chance(50));
            *wal = Some(reopen(disk, history));
        }
        Step::Cut { percent } => {
            *disk = disk.crash_after(disk.n_unsynced() * percent / 100);
            *wal = Some(reopen(disk, history));
        }
    }
}

fn reopen(disk: &MemDir, history: &mut History) -> Wal {
    let (wal, found) = Wal::open_on(disk.clone(), config(SEGMENT_BYTES)).unwrap();
    let model = history.find(&found).clone();
    *history = History::new(model);
    wal
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn recovery_follows_the_model_after_any_crashes(steps in prop::collection::vec(step(), 1..60)) {
        let mut disk = MemDir::new();
        let mut wal = Some(Wal::create_on(disk.clone(), METADATA, config(SEGMENT_BYTES)).unwrap());
        let mut history = History::new(Model::new());
        for step in steps {
            perform(step, &mut disk, &mut wal, &mut history);
        }
        reopen(&disk.crash(), &mut history);
    }
}
