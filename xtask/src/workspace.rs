//! What every task needs: where the workspace is, and how tasks end.

use std::path::{Path, PathBuf};

/// The result of a task; the error is printed and becomes exit code 1.
pub(crate) type TaskResult = Result<(), Box<dyn std::error::Error>>;

/// The root folder of the workspace.
pub(crate) fn workspace_root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().expect("xtask is a folder of the workspace").to_owned()
}
