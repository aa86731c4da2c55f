//! Segment files: their names, and how a new one comes to be.

use std::path::Path;

use crate::{Dir, Error, File};

/// A segment's place in the log, which is also its file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    /// Counts segments from 0, without gaps.
    pub(crate) sequence: u64,
    /// The index after the last entry of the segments before.
    pub(crate) index: u64,
}

impl SegmentName {
    /// Reads a file name; nothing for names that are not a segment's.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (sequence, index) = name.strip_suffix(".wal")?.split_once('-')?;
        // The last number has no successor, so it cannot name a segment that can be continued.
        let sequence = hex16(sequence).filter(|&n| n < u64::MAX)?;
        Some(Self { sequence, index: hex16(index)? })
    }

    pub(crate) fn file_name(self) -> String {
        format!("{:016x}-{:016x}.wal", self.sequence, self.index)
    }

    /// The name under which the segment is prepared. Two alternate, as in etcd.
    fn temporary_name(self) -> String {
        format!("{}.tmp", self.sequence % 2)
    }
}

fn hex16(digits: &str) -> Option<u64> {
    let lower_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    (digits.len() == 16 && digits.bytes().all(lower_hex)).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// An open segment, locked as long as it is held.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) name: SegmentName,
    pub(crate) file: Box<dyn File>,
}

impl Segment {
    pub(crate) fn open(dir: &dyn Dir, name: SegmentName) -> Result<Self, Error> {
        let path = dir.path().join(name.file_name());
        let file = dir.open(&name.file_name()).map_err(|e| Error::io("open", &path, e))?;
        lock(file.as_ref(), &path)?;
        Ok(Self { name, file })
    }

    /// Makes a segment that starts with `head`. It has its name only once the head is durable, so that a segment
    /// found by name is always whole.
    pub(crate) fn create(
        dir: &dyn Dir,
        name: SegmentName,
        head: &[u8],
        allocate_bytes: u64,
        fsync: bool,
    ) -> Result<Self, Error> {
        let temporary = name.temporary_name();
        let path = dir.path().join(&temporary);
        let file = dir.create(&temporary).map_err(|e| Error::io("create", &path, e))?;
        lock(file.as_ref(), &path)?;
        file.allocate(allocate_bytes).map_err(|e| Error::io("allocate space for", &path, e))?;
        file.write_at(head, 0).map_err(|e| Error::io("write", &path, e))?;
        if fsync {
            file.sync_data().map_err(|e| Error::io("sync", &path, e))?;
        }
        dir.rename(&temporary, &name.file_name()).map_err(|e| Error::io("rename", &path, e))?;
        if fsync {
            dir.sync().map_err(|e| Error::io("sync", &dir.path(), e))?;
        }
        Ok(Self { name, file })
    }
}

fn lock(file: &dyn File, path: &Path) -> Result<(), Error> {
    match file.try_lock() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::InUse { path: path.to_owned() }),
        Err(e) => Err(Error::io("lock", path, e)),
    }
}

/// The segments in `dir`, in order.
pub(crate) fn list(dir: &dyn Dir) -> Result<Vec<SegmentName>, Error> {
    let names = dir.list().map_err(|e| Error::io("list", &dir.path(), e))?;
    let mut segments: Vec<_> = names.iter().filter_map(|name| SegmentName::parse(name)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Opens and locks all segments in `dir`, in order. The log has at least one, and none is missing in between.
pub(crate) fn open_all(dir: &dyn Dir) -> Result<Vec<Segment>, Error> {
    let names = list(dir)?;
    if names.is_empty() {
        return Err(Error::NotFound { dir: dir.path() });
    }
    for pair in names.windows(2) {
        let expected = pair[0].sequence + 1;
        if pair[1].sequence != expected {
            return Err(Error::MissingSegment { expected, path: dir.path().join(pair[1].file_name()) });
        }
    }
    names.into_iter().map(|name| Segment::open(dir, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_two_numbers_of_sixteen_digits() {
        let name = SegmentName { sequence: 10, index: 0xabcd };
        assert_eq!(name.file_name(), "000000000000000a-000000000000abcd.wal");
        assert_eq!(SegmentName::parse(&name.file_name()), Some(name));
        for other in [
            "0.tmp",
            "000000000000000a-000000000000abcd.wal.broken",
            "000000000000000A-000000000000abcd.wal",
            "a-abcd.wal",
            "+00000000000000a-000000000000abcd.wal",
            "000000000000000a.wal",
        ] {
            assert_eq!(SegmentName::parse(other), None, "{other}");
        }
    }
}
