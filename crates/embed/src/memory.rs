//! How much memory the process may use, and which parts of it responses and followers get.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};

/// The part of the memory that responses get: one of so many.
const PARTS: u64 = 8;
/// The part that log entries get which are kept for followers: one of so many.
const FOLLOWERS_PARTS: u64 = 32;
/// What these get at least and at most, in bytes. Beyond the most a snapshot is as fast.
const FOLLOWERS_BYTES: RangeInclusive<u64> = 8 << 20..=256 << 20;
/// What responses get at least, in bytes: enough for some dozens that are long.
const RESPONSES_BYTES_MIN: u64 = 16 << 20;
/// What a system of another kind is taken to have, in bytes.
#[cfg(not(target_os = "linux"))]
const UNKNOWN_BYTES: u64 = 2 << 30;

/// The memory that responses get if it is not configured, in bytes; logged.
pub(crate) fn for_responses() -> u64 {
    let memory = Memory::of_process();
    let bytes = memory.for_responses();
    tracing::info!(
        bytes,
        "memory-limit" = memory.bytes,
        "limit-of" = memory.source,
        "memory for long responses"
    );
    bytes
}

/// The memory for log entries that followers which lag may want, in bytes.
pub(crate) fn for_followers() -> u64 {
    Memory::of_process().for_followers()
}

/// A bound of the memory of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    bytes: u64,
    /// What sets it, for the log.
    source: &'static str,
}

impl Memory {
    /// That of the control group or one around it, if one has less than the machine.
    fn of_process() -> Self {
        let machine = machine();
        match group_limit(Path::new("/")) {
            Some(bytes) if bytes < machine.bytes => Self { bytes, source: "control group" },
            _ => machine,
        }
    }

    /// The part for followers.
    fn for_followers(self) -> u64 {
        (self.bytes / FOLLOWERS_PARTS).clamp(*FOLLOWERS_BYTES.start(), *FOLLOWERS_BYTES.end())
    }

    /// The part for responses.
    fn for_responses(self) -> u64 {
        (self.bytes / PARTS).max(RESPONSES_BYTES_MIN)
    }
}

#[cfg(target_os = "linux")]
fn machine() -> Memory {
    let info = rustix::system::sysinfo();
    // It is narrower on systems of 32 bits.
    let units: u128 = info.totalram.into();
    let bytes = units * u128::from(info.mem_unit.max(1));
    Memory { bytes: u64::try_from(bytes).unwrap_or(u64::MAX), source: "machine" }
}

#[cfg(not(target_os = "linux"))]
fn machine() -> Memory {
    Memory { bytes: UNKNOWN_BYTES, source: "unknown" }
}

/// The smallest limit of the process's control group and of those around it, of version 1 or 2. `root` is the root of the
/// file system.
fn group_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        // Version 2 has one hierarchy and names no controllers.
        let (mount, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        smallest_limit(&root.join(mount), Path::new(path), file)
    });
    limits.min()
}

fn smallest_limit(mount: &Path, group: &Path, file: &str) -> Option<u64> {
    let below: PathBuf = group.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    // A word in place of a number means no limit.
    let limit = |group: &Path| fs::read_to_string(mount.join(group).join(file)).ok()?.trim().parse().ok();
    below.ancestors().filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit in a file system with these files.
    fn limit_with(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().expect("a directory");
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("it is in the root")).expect("a directory");
            fs::write(path, content).expect("a file");
        }
        group_limit(root.path())
    }

    #[test]
    fn smallest_limit_around_the_group_counts() {
        let group = ("proc/self/cgroup", "0::/a/b\n");
        assert_eq!(limit_with(&[group]), None);
        assert_eq!(limit_with(&[group, ("sys/fs/cgroup/a/b/memory.max", "max\n")]), None);
        let (inner, outer) =
            (("sys/fs/cgroup/a/b/memory.max", "700\n"), ("sys/fs/cgroup/a/memory.max", "600\n"));
        assert_eq!(limit_with(&[group, inner]), Some(700));
        assert_eq!(limit_with(&[group, inner, outer]), Some(600));
        // Inside of a container the group is its root.
        let whole = ("sys/fs/cgroup/memory.max", "500\n");
        assert_eq!(limit_with(&[("proc/self/cgroup", "0::/\n"), whole]), Some(500));
    }

    #[test]
    fn groups_of_version_1_have_limits_too() {
        let groups = ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/a\n0::/\n");
        assert_eq!(limit_with(&[groups]), None);
        let limit = ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "800\n");
        assert_eq!(limit_with(&[groups, limit]), Some(800));
        assert_eq!(limit_with(&[]), None);
    }

    #[test]
    fn followers_get_a_part_within_bounds() {
        let part = |bytes| Memory { bytes, source: "machine" }.for_followers();
        assert_eq!((part(512 << 20), part(1 << 20), part(32 << 30)), (16 << 20, 8 << 20, 256 << 20));
    }

    #[test]
    fn responses_get_a_part() {
        let part = |bytes| Memory { bytes, source: "machine" }.for_responses();
        assert_eq!((part(512 << 20), part(1 << 20), part(32 << 30)), (64 << 20, 16 << 20, 4 << 30));
    }
}
