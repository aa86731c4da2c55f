//! A file system for each member, which a test can freeze.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::command::{find, run};

/// Room for the segments of a log and a state file; the image is sparse.
const BYTES: u64 = 2 << 30;

/// Errs with the reason when there can be no such disks on this machine.
pub(super) fn available() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("become root, which mounts need".to_owned());
    }
    find(&[("mkfs.ext4", "e2fsprogs"), ("mount", "mount"), ("fsfreeze", "util-linux")])?;
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    Disk::new(&dir.path().join("try")).map(drop).map_err(|error| error.to_string())
}

/// A file system in a file. Dropping it unmounts it.
#[derive(Debug)]
pub(super) struct Disk {
    mount: PathBuf,
}

impl Disk {
    /// Creates a file system, mounts it at this path and puts its image beside it.
    pub(super) fn new(mount: &Path) -> io::Result<Self> {
        let image = mount.with_extension("img");
        File::create(&image)?.set_len(BYTES)?;
        run(&format!("mkfs.ext4 -q -F {}", image.display()))?;
        fs::create_dir_all(mount)?;
        run(&format!("mount -o loop {} {}", image.display(), mount.display()))?;
        Ok(Self { mount: mount.to_owned() })
    }

    /// Makes every write and sync wait from now on.
    pub(super) fn freeze(&self) -> io::Result<()> {
        run(&format!("fsfreeze -f {}", self.mount.display()))
    }

    /// Lets writes and syncs go on.
    pub(super) fn thaw(&self) -> io::Result<()> {
        run(&format!("fsfreeze -u {}", self.mount.display()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Most often it is not frozen. Processes that were killed may still be there for a moment.
        let _ = self.thaw();
        let _ = run(&format!("umount -l {}", self.mount.display()));
    }
}
