//! How much a state that comes in leaves of the disk.

use std::io;
use std::path::Path;

use crate::files::SEGMENT_BYTES;

/// Bytes that stay free for the log and the state file: both need some while a state is on its way, and a member that
/// cannot write its log stops.
const RESERVE_BYTES_MAX: u64 = 256 << 20;
/// On a small file system it is this part of it, but never less than the next segment of the log. One that is too small
/// for both takes no states, and a member on it would stop soon anyway.
const RESERVE_SHARE: u64 = 8;

/// A file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) total: u64,
    /// What this process may still take.
    pub(super) free: u64,
}

impl Space {
    /// That of the file system with this directory.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Self { total: bytes(stat.f_blocks), free: bytes(stat.f_bavail) })
    }

    /// What stays free.
    pub(super) fn reserve(self) -> u64 {
        (self.total / RESERVE_SHARE).clamp(SEGMENT_BYTES, RESERVE_BYTES_MAX)
    }

    /// Whether so many bytes can be stored. Some file systems do not tell how large they are; those take anything.
    pub(super) fn has_room(self, bytes: u64) -> bool {
        self.total == 0 || self.free >= bytes.saturating_add(self.reserve())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_stays_free() {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        let check = |total, free, room| {
            let space = Space { total, free };
            assert!(space.has_room(room) && !space.has_room(room + 1), "{space:?}");
        };
        check(1000 * GIB, 10 * GIB, 10 * GIB - RESERVE_BYTES_MAX);
        check(1000 * GIB, RESERVE_BYTES_MAX, 0);
        check(GIB, GIB / 2, GIB / 2 - GIB / 8);
        // A segment of the log, however small the disk.
        check(256 * MIB, 100 * MIB, 100 * MIB - SEGMENT_BYTES);
        let is_full = |total, free| !Space { total, free }.has_room(0);
        assert!(is_full(1000 * GIB, RESERVE_BYTES_MAX - 1));
        assert!(is_full(256 * MIB, SEGMENT_BYTES - 1));
        assert!(is_full(SEGMENT_BYTES / 2, SEGMENT_BYTES / 2));
        assert!(Space { total: 0, free: 0 }.has_room(u64::MAX));
    }

    #[test]
    fn the_file_system_tells_how_large_it_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let space = Space::of(dir.path()).expect("it exists");
        assert!(space.free <= space.total, "{space:?}");
        Space::of(&dir.path().join("none")).expect_err("it does not exist");
    }
}
