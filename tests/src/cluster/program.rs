//! The programs a [`Process`](super::Process) can run, and where they are found.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use super::{Kind, Release};
use crate::spawn_lock::with_spawn_lock;

/// A program that takes etcd's flags and logs etcd's lines.
pub trait Program: Send + Sync + 'static {
    /// What kind of target it is.
    const KIND: Kind;

    /// Flags for this target alone, which make it start faster.
    const FLAGS: &'static [&'static str] = &[];

    /// Flags that this target spells differently: the name in etcd 3.7, and its own.
    const RENAMED: &'static [(&'static str, &'static str)] = &[];

    /// Finds the executable.
    fn locate() -> Result<PathBuf, Missing>;
}

/// Why a target is not available on this machine.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Missing {
    /// No directory of PATH has the program.
    #[error("find `{program}` in PATH (Debian package {package})")]
    NotInPath {
        /// Name of the executable.
        program: &'static str,
        /// Debian package that brings it.
        package: &'static str,
    },
    /// The program in PATH is of another release.
    #[error("find {program} {wanted} in PATH, which has `{found}`")]
    OtherVersion {
        /// Name of the executable.
        program: &'static str,
        /// The release the expectations are of.
        wanted: &'static str,
        /// The version that it reports.
        found: String,
    },
    /// The upstream server of `tests/interop/go` was not built.
    #[error("find {}; build it with `{BUILD_ETCD37}`", path.display())]
    NotBuilt {
        /// Where it is expected.
        path: PathBuf,
    },
    /// The environment variable names a file that isn't there.
    #[error("find {}, which {variable} names", path.display())]
    NotWhereSaid {
        /// The variable.
        variable: &'static str,
        /// Its value.
        path: PathBuf,
    },
    /// Cargo could not build the program.
    #[error("build ferretcd:\n{output}")]
    BuildFailed {
        /// What cargo wrote to stderr.
        output: String,
    },
    /// The test executable is in no target directory.
    #[error("find the target directory around the test executable {}", path.display())]
    NoTargetDir {
        /// The test executable.
        path: PathBuf,
    },
}

const BUILD_ETCD37: &str =
    "(cd tests/interop/go/etcd37 && go build -trimpath -o ../../../../target/interop/etcd37 .)";

/// The server of this workspace: the file that `FERRETCD_BIN` names, else what cargo builds now.
#[derive(Debug)]
pub struct Ferretcd;

impl Program for Ferretcd {
    const KIND: Kind = Kind { name: "ferretcd", release: Release::V3_7, reference: false, lacks: &[] };

    fn locate() -> Result<PathBuf, Missing> {
        const VARIABLE: &str = "FERRETCD_BIN";
        if let Some(path) = env::var_os(VARIABLE).map(PathBuf::from) {
            return if path.is_file() {
                Ok(path)
            } else {
                Err(Missing::NotWhereSaid { variable: VARIABLE, path })
            };
        }
        static BUILT: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
        BUILT.get_or_init(build_ferretcd).clone()
    }
}

/// Debian's etcd 3.4.
#[derive(Debug)]
pub struct Etcd34;

impl Program for Etcd34 {
    const KIND: Kind = Kind { name: "etcd-3.4", release: Release::V3_4, reference: true, lacks: &[] };
    const FLAGS: &'static [&'static str] = FAST_TICKS;
    const RENAMED: &'static [(&'static str, &'static str)] =
        &[("--watch-progress-notify-interval", "--experimental-watch-progress-notify-interval")];

    fn locate() -> Result<PathBuf, Missing> {
        in_path("etcd", "etcd-server")
    }
}

/// Upstream etcd 3.7.1 from its Go module: the release ferretcd reproduces.
#[derive(Debug)]
pub struct Etcd37;

impl Program for Etcd37 {
    const KIND: Kind = Kind { name: "etcd-3.7", release: Release::V3_7, reference: true, lacks: &[] };
    const FLAGS: &'static [&'static str] = FAST_TICKS;

    fn locate() -> Result<PathBuf, Missing> {
        let path = profile_dir()?.join("../interop/etcd37");
        if path.is_file() { Ok(path) } else { Err(Missing::NotBuilt { path }) }
    }
}

/// A lone etcd elects itself after an election timeout; with these it takes 50 ms instead of a second.
const FAST_TICKS: &[&str] = &["--heartbeat-interval=10", "--election-timeout=50"];

/// Looks an executable up in PATH.
pub(crate) fn in_path(program: &'static str, package: &'static str) -> Result<PathBuf, Missing> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .ok_or(Missing::NotInPath { program, package })
}

/// `target/debug` or `target/release`: the test executable is in its `deps`.
fn profile_dir() -> Result<PathBuf, Missing> {
    let executable = env::current_exe().unwrap_or_default();
    match executable.parent().and_then(Path::parent) {
        Some(dir) => Ok(dir.to_owned()),
        None => Err(Missing::NoTargetDir { path: executable }),
    }
}

/// Builds the binary with cargo, so that a suite never tests an old one.
fn build_ferretcd() -> Result<PathBuf, Missing> {
    let dir = profile_dir()?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--package", "ferretcd-cli"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if dir.ends_with("release") {
        cargo.arg("--release");
    }
    match with_spawn_lock(|| cargo.spawn()).and_then(Child::wait_with_output) {
        Ok(output) if output.status.success() => Ok(dir.join("ferretcd")),
        Ok(output) => {
            Err(Missing::BuildFailed { output: String::from_utf8_lossy(&output.stderr).into_owned() })
        }
        Err(error) => Err(Missing::BuildFailed { output: error.to_string() }),
    }
}
