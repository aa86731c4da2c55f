//! How much of the disk has to stay free of what a member could do without.

use std::io;
use std::path::Path;

use crate::paths::SEGMENT_BYTES;

/// Bytes that stay free for the log and the state file: both grow while a snapshot is received or the state file is
/// rewritten, and a member that cannot write its log stops.
const RESERVE_BYTES_MAX: u64 = 256 << 20;
/// A small file system reserves one part in so many, but never less than the next segment of the log. One that is too
/// small for both takes no snapshots, and a member on it would stop soon anyway.
const RESERVE_SHARE: u64 = 8;

/// The room on a file system, in bytes. Some of it stays free for the log and the state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// The size of the file system; zero if it does not tell.
    pub total: u64,
    /// What this process may still use.
    pub free: u64,
}

impl DiskSpace {
    /// The room on the file system of this directory. A call of the system, some microseconds.
    ///
    /// # Errors
    ///
    /// When the directory does not exist, or the file system fails.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Self { total: bytes(stat.f_blocks), free: bytes(stat.f_bavail) })
    }

    /// What has to stay free: 256 MiB; of a small file system an eighth, but at least a segment of the log.
    pub fn reserve(self) -> u64 {
        (self.total / RESERVE_SHARE).clamp(SEGMENT_BYTES, RESERVE_BYTES_MAX)
    }

    /// Whether `bytes` more can be stored.
    pub fn has_room(self, bytes: u64) -> bool {
        self.missing(bytes) == 0
    }

    /// How much more would have to be free for `bytes` more. Some file systems report no size; those take anything.
    pub fn missing(self, bytes: u64) -> u64 {
        if self.total == 0 { 0 } else { bytes.saturating_add(self.reserve()).saturating_sub(self.free) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_stays_free() {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        let check = |total, free, room| {
            let space = DiskSpace { total, free };
            assert!(space.has_room(room) && !space.has_room(room + 1), "{space:?}");
            assert_eq!(space.missing(room + 7), 7, "{space:?}");
        };
        check(1000 * GIB, 10 * GIB, 10 * GIB - RESERVE_BYTES_MAX);
        check(1000 * GIB, RESERVE_BYTES_MAX, 0);
        check(GIB, GIB / 2, GIB / 2 - GIB / 8);
        // A segment of the log stays free, however small the disk.
        check(256 * MIB, 100 * MIB, 100 * MIB - SEGMENT_BYTES);
        let is_full = |total, free| !DiskSpace { total, free }.has_room(0);
        assert!(is_full(1000 * GIB, RESERVE_BYTES_MAX - 1));
        assert!(is_full(256 * MIB, SEGMENT_BYTES - 1));
        assert!(is_full(SEGMENT_BYTES / 2, SEGMENT_BYTES / 2));
        assert!(DiskSpace { total: 0, free: 0 }.has_room(u64::MAX));
    }

    #[test]
    fn the_size_of_a_file_system_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let space = DiskSpace::of(dir.path()).expect("it exists");
        assert!(space.free <= space.total, "{space:?}");
        DiskSpace::of(&dir.path().join("none")).expect_err("it does not exist");
    }
}
