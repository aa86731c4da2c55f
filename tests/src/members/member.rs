//! One member: a process and its data.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::home::Home;
use crate::Program;
use crate::cluster::{Log, renamed};
use crate::spawn_lock::with_spawn_lock;

/// The flags about the cluster of a member without data.
#[derive(Clone, Debug, Default)]
pub(super) struct Beginning {
    pub(super) cluster: String,
    pub(super) is_new: bool,
    pub(super) token: String,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) home: Home,
    pub(super) data_dir: PathBuf,
    pub(super) beginning: Beginning,
    /// Flags of this member alone.
    pub(super) flags: Vec<String>,
    /// A program of this member alone.
    pub(super) executable: Option<PathBuf>,
    /// None until it is known.
    pub(super) id: Option<u64>,
    /// Whether it is left out of the initial cluster of new members.
    pub(super) is_removed: bool,
    pub(super) log: Log,
    /// None while it is down.
    child: Option<Child>,
}

impl Member {
    pub(super) fn new(name: String, home: Home, data_dir: PathBuf) -> Self {
        let beginning = Beginning::default();
        Self {
            name,
            home,
            data_dir,
            beginning,
            flags: Vec::new(),
            executable: None,
            id: None,
            is_removed: false,
            log: Log::default(),
            child: None,
        }
    }

    pub(super) fn client_url(&self) -> String {
        self.home.client_url()
    }

    pub(super) fn peer_url(&self) -> String {
        self.home.peer_url()
    }

    pub(super) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Starts it with a command that begins with the words of `prefix`. Returns the process id.
    pub(super) fn spawn<P: Program>(
        &mut self,
        prefix: &[String],
        executable: &Path,
        flags: &[&str],
    ) -> io::Result<u32> {
        assert!(self.child.is_none(), "only a member that is down can be started");
        let executable = self.executable.as_deref().unwrap_or(executable);
        let mut command = match prefix.split_first() {
            Some((program, rest)) => {
                let mut command = Command::new(program);
                command.args(rest).arg(executable);
                command
            }
            None => Command::new(executable),
        };
        let state = if self.beginning.is_new { "new" } else { "existing" };
        command
            .arg(format!("--name={}", self.name))
            .arg(format!("--data-dir={}", self.data_dir.display()))
            .arg(format!("--listen-client-urls={}", self.client_url()))
            .arg(format!("--advertise-client-urls={}", self.client_url()))
            .arg(format!("--listen-peer-urls={}", self.home.listen_peer_url()))
            .arg(format!("--initial-advertise-peer-urls={}", self.peer_url()))
            .arg(format!("--initial-cluster={}", self.beginning.cluster))
            .arg(format!("--initial-cluster-token={}", self.beginning.token))
            .arg(format!("--initial-cluster-state={state}"))
            .args(flags.iter().map(|flag| renamed::<P>(flag)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // The servers read their flags from the environment too.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ETCD_")) {
            command.env_remove(name);
        }
        let mut child = with_spawn_lock(|| command.spawn())?;
        self.log.begin_run();
        self.log.follow(child.stdout.take());
        self.log.follow(child.stderr.take());
        let pid = child.id().expect("it was not waited for");
        self.child = Some(child);
        Ok(pid)
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().and_then(Child::id);
        let pid = pid.and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.unwrap_or_else(|| panic!("{} does not run", self.name));
        kill_process(pid, signal).expect("own children take signals");
    }

    /// Waits until this run has logged so many lines or serves clients, and returns whether it serves.
    pub(super) async fn logged(&self, lines: usize) -> bool {
        let mut runs = self.log.runs.subscribe();
        let run = runs.wait_for(|run| run.ready || run.lines >= lines).await;
        run.expect("the sender lives in self").ready
    }

    /// Waits for its end. It counts as running until it is reaped.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.as_mut().expect("it runs").wait().await
    }

    /// Waits for its end and for all of its output.
    pub(super) async fn reap(&mut self) -> io::Result<ExitStatus> {
        let child = self.child.as_mut().expect("it runs");
        let status = child.wait().await?;
        self.child = None;
        self.log.finished().await;
        Ok(status)
    }
}
