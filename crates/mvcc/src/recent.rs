//! The rows of the newest transactions, until the backend has them.

use std::collections::VecDeque;

use bytes::Bytes;
use ferretcd_base::Revision;
use smallvec::SmallVec;

/// Counted per row beside its bytes, for the containers around them.
const ROW_OVERHEAD: usize = 64;

/// Rows by revision. Published transactions have consecutive main revisions and changes have consecutive
/// subs, so that a row is found by two subtractions.
#[derive(Debug)]
pub(crate) struct Recent {
    /// Main revision of the front transaction, or of the next one to come if there is none.
    first: i64,
    transactions: VecDeque<SmallVec<[Bytes; 1]>>,
    bytes: usize,
}

impl Recent {
    /// An empty buffer of a store whose current revision is `current`.
    pub(crate) fn after(current: i64) -> Self {
        Self { first: current + 1, transactions: VecDeque::new(), bytes: 0 }
    }

    /// Main revision of the oldest transaction in here, or of the next one to come.
    pub(crate) fn first(&self) -> i64 {
        self.first
    }

    /// The rows of the transaction `main` by sub revision; none if it is not in here.
    pub(crate) fn transaction(&self, main: i64) -> &[Bytes] {
        let position = usize::try_from(main - self.first).ok();
        position.and_then(|position| self.transactions.get(position)).map_or(&[], |rows| rows)
    }

    /// The row of a revision, unless it was released (or never in here).
    pub(crate) fn get(&self, revision: Revision) -> Option<&Bytes> {
        self.transaction(revision.main).get(usize::try_from(revision.sub).ok()?)
    }

    /// Adds the transaction `main`, which must follow the last one.
    pub(crate) fn push(&mut self, main: i64, rows: SmallVec<[Bytes; 1]>) {
        assert_eq!(main, self.first + self.transactions.len() as i64, "main revisions have no gaps");
        self.bytes += weight(&rows);
        self.transactions.push_back(rows);
    }

    /// Takes out the transactions up to `main`, inclusive. They are handed over so that the caller can drop
    /// them, possibly many thousands, after having let go of the lock.
    pub(crate) fn release(&mut self, main: i64) -> Vec<SmallVec<[Bytes; 1]>> {
        let n_released = usize::try_from(main - self.first + 1).unwrap_or(0).min(self.transactions.len());
        let released: Vec<_> = self.transactions.drain(..n_released).collect();
        self.first += n_released as i64;
        self.bytes -= released.iter().map(|rows| weight(rows)).sum::<usize>();
        released
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn weight(rows: &[Bytes]) -> usize {
    rows.iter().map(|row| row.len() + ROW_OVERHEAD).sum()
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn get(recent: &Recent, main: i64, sub: i64) -> Option<&'static str> {
        let row = recent.get(Revision::new(main, sub))?;
        ["a", "b", "c"].into_iter().find(|name| name.as_bytes() == row)
    }

    #[test]
    fn rows_are_there_until_released() {
        let mut recent = Recent::after(7);
        recent.push(8, smallvec!["a".into(), "b".into()]);
        recent.push(9, smallvec!["c".into()]);
        assert_eq!(
            [get(&recent, 8, 0), get(&recent, 8, 1), get(&recent, 9, 0)],
            [Some("a"), Some("b"), Some("c")]
        );
        assert_eq!([get(&recent, 7, 0), get(&recent, 8, 2), get(&recent, 10, 0)], [None; 3]);

        assert!(recent.release(7).is_empty());
        assert_eq!(get(&recent, 8, 0), Some("a"));
        assert_eq!(recent.release(8).len(), 1);
        assert_eq!([get(&recent, 8, 0), get(&recent, 9, 0)], [None, Some("c")]);
        assert_eq!(recent.release(100).len(), 1);
        assert_eq!((get(&recent, 9, 0), recent.bytes()), (None, 0));
        recent.push(10, smallvec!["a".into()]);
        assert_eq!(get(&recent, 10, 0), Some("a"));
    }
}
