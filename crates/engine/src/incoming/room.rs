//! How much a state that comes in leaves of the disk.

use std::io;
use std::path::Path;

/// Bytes that stay free for the log and the state file: both need some while a state is on its way, and a member that
/// cannot write its log stops.
const RESERVE: u64 = 256 << 20;
/// On a small file system it is this part of it, which on one of 512 MiB is a segment of the log.
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
        RESERVE.min(self.total / RESERVE_SHARE)
    }

    /// Whether so many bytes can be stored. Some file systems do not tell how large they are; those take anything.
    pub(super) fn has_room(self, bytes: u64) -> bool {
        self.total == 0 || self.free >= bytes.saturating_add(self.reserve())
    }
}

/// What has still to be stored of a state: what comes, and then all of it once more, because it is kept as it came
/// until its rows are in a state file. One that does not say how long it is may end here.
pub(super) fn needed(received: u64, announced: Option<u64>) -> u64 {
    let whole = announced.unwrap_or_default().max(received);
    whole.saturating_add(whole - received)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_stays_free() {
        const GIB: u64 = 1 << 30;
        let check = |total, free, room| {
            let space = Space { total, free };
            assert!(space.has_room(room) && !space.has_room(room + 1), "{space:?}");
        };
        check(1000 * GIB, 10 * GIB, 10 * GIB - RESERVE);
        check(1000 * GIB, RESERVE, 0);
        check(GIB, GIB / 2, GIB / 2 - GIB / 8);
        let full = Space { total: 1000 * GIB, free: RESERVE - 1 };
        assert!(!full.has_room(0));
        assert!(Space { total: 0, free: 0 }.has_room(u64::MAX));
    }

    #[test]
    fn a_state_is_stored_twice() {
        assert_eq!(needed(0, Some(100)), 200);
        assert_eq!(needed(60, Some(100)), 140);
        assert_eq!(needed(100, Some(100)), 100);
        // It says nothing, or not the truth.
        assert_eq!((needed(0, None), needed(60, None), needed(60, Some(1))), (0, 60, 60));
        assert_eq!(needed(0, Some(u64::MAX)), u64::MAX);
    }

    #[test]
    fn the_file_system_tells_how_large_it_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let space = Space::of(dir.path()).expect("it exists");
        assert!(space.free <= space.total, "{space:?}");
        Space::of(&dir.path().join("none")).expect_err("it does not exist");
    }
}
