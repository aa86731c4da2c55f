//! What is known of all keys below a node at once.
//!
//! The writer changes sums while others read them, without a lock. This is enough because of the order:
//!
//! ```text
//!   writer of transaction W          reader at the revision R, published before it began
//!   changed = W                      live = ...
//!   ── release fence ──              ── acquire fence ──
//!   live = ...                       changed <= R ? live is that of R : look further down
//! ```
//!
//! * A reader that sees any of what W has written to the sums sees `changed` of W or later as well, because of
//!   the pair of fences. W is above R, so the reader does not use what it has seen. That some sums are from
//!   before W and others from after it does no harm for the same reason.
//! * All of what the transactions up to R have written was written before R was published, so that the reader
//!   sees it or something newer; and something newer is the case above.
//!
//! So the sums are used only if they are those of R, all of them. The writer's own reads inside of a
//! transaction come after its changes in the same thread. Nodes are read one by one; they belong together
//! because all of them are looked at as of R.

use std::iter::Sum;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering, fence};

use ferretcd_base::Revision;

use crate::key_index::{Stamp, end_of};

/// The live keys among some: how many they are, and what their rows take in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) keys: usize,
    pub(super) bytes: u64,
}

impl Live {
    /// Of one key whose newest change is `stamp`.
    pub(super) fn of(stamp: &Stamp) -> Self {
        match stamp.is_tombstone() {
            true => Self::default(),
            false => Self { keys: 1, bytes: stamp.listed_bytes() },
        }
    }
}

impl AddAssign for Live {
    fn add_assign(&mut self, other: Self) {
        self.keys += other.keys;
        self.bytes += other.bytes;
    }
}

impl Sum for Live {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

/// The sums over all keys below a node. Only the writer changes them.
#[derive(Debug, Default)]
pub(super) struct Sums {
    keys: AtomicUsize,
    bytes: AtomicU64,
    /// The main revision of the last change of any of the keys; 0 if there was none.
    changed: AtomicI64,
}

impl Sums {
    pub(super) fn new(live: Live, changed: i64) -> Self {
        Self {
            keys: AtomicUsize::new(live.keys),
            bytes: AtomicU64::new(live.bytes),
            changed: AtomicI64::new(changed),
        }
    }

    /// The live keys as of the newest change, for the writer; others may see half of a change.
    pub(super) fn newest(&self) -> Live {
        Live { keys: self.keys.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    pub(super) fn changed(&self) -> i64 {
        self.changed.load(Ordering::Relaxed)
    }

    /// The keys that were live at `at`, if none of them was changed since.
    pub(super) fn at(&self, at: Revision) -> Option<Live> {
        let live = self.newest();
        fence(Ordering::Acquire);
        // A bound within a transaction says nothing about the transaction's changes behind it.
        (end_of(self.changed()) <= at).then_some(live)
    }

    /// Accounts for changes at `main` of keys below: `before` counted until now, `after` counts from now on.
    pub(super) fn replace(&self, main: i64, before: Live, after: Live) {
        let Live { keys, bytes } = self.newest();
        self.changed.store(main, Ordering::Relaxed);
        fence(Ordering::Release);
        self.keys.store(keys + after.keys - before.keys, Ordering::Relaxed);
        self.bytes.store(bytes + after.bytes - before.bytes, Ordering::Relaxed);
    }
}
