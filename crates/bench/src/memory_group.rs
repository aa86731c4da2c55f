//! A control group that bounds the memory of the processes in it, page cache included. The kernel ends a process of the
//! group when nothing else can be freed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where groups are made, and the file that has the bound, in the second version of control groups and in the first.
const HIERARCHIES: [(&str, &str); 2] =
    [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")];

/// A bound on memory for processes that are still to be started. Dropping it removes the group; its processes must have
/// ended.
#[derive(Debug)]
pub(crate) struct MemoryGroup {
    bytes: u64,
    /// `None` leaves the group to systemd.
    folder: Option<PathBuf>,
}

impl MemoryGroup {
    /// A group of its own; an error says why there can be none on this machine.
    pub(crate) fn new(bytes: u64) -> Result<Self, String> {
        // Where the second version is in use, its root has to hand the memory down. An error shows below.
        let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
        let mut reasons = Vec::new();
        for (root, bound) in HIERARCHIES {
            match create(Path::new(root), bound, bytes) {
                Ok(folder) => return Ok(Self { bytes, folder: Some(folder) }),
                Err(error) => reasons.push(format!("{root}: {error}")),
            }
        }
        let group = Self { bytes, folder: None };
        let mut probe = group.command(Path::new("true"));
        match probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(status) if status.success() => return Ok(group),
            Ok(status) => reasons.push(format!("systemd-run ends with {status}")),
            Err(error) => reasons.push(format!("systemd-run does not start: {error}")),
        }
        Err(format!("no control group can be made: {}", reasons.join("; ")))
    }

    /// Runs a program in the group. The process that is started becomes the program.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let Some(folder) = &self.folder else {
            let mut command = Command::new("systemd-run");
            command.args(["--scope", "--quiet", "-p", &format!("MemoryMax={}", self.bytes), "-p"]);
            command.args(["MemorySwapMax=0", "--"]).arg(program);
            return command;
        };
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#]).arg(folder).arg(program);
        command
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // An empty group costs nothing; there is nothing to do about one that stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Makes a group with the bound below `root`.
fn create(root: &Path, bound: &str, bytes: u64) -> io::Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix("ferretcd-bench-").tempdir_in(root)?.keep();
    // The kernel makes the file; where it has not, this is no place for such groups.
    let bounded = if folder.join(bound).exists() {
        fs::write(folder.join(bound), bytes.to_string())
    } else {
        Err(io::Error::other(format!("groups have no {bound}")))
    };
    match bounded {
        Ok(()) => {
            // The first version has another file for it, and kernels may be without.
            let swap = folder.join("memory.swap.max");
            let _ = swap.exists().then(|| fs::write(swap, "0"));
            Ok(folder)
        }
        Err(error) => {
            // The first error is the one to report.
            let _ = fs::remove_dir(&folder);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_control_group_is_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let error = create(folder.path(), "memory.max", 1).unwrap_err();
        assert!(error.to_string().contains("memory.max"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn systemd_runs_the_program_behind_the_bound() {
        let group = MemoryGroup { bytes: 1 << 20, folder: None };
        let command = group.command(Path::new("server"));
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert!(words.contains(&"MemoryMax=1048576".to_owned()), "{words:?}");
        assert_eq!(words.last().map(String::as_str), Some("server"));
    }
}
