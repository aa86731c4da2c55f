//! A server as a process of its own.

use std::env;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::log::{Log, Run};
use super::ports::Ports;
use super::{Cluster, Killable, Kind, Missing, Options, Program, STOP_WITHIN, StartError};
use crate::spawn_lock::with_spawn_lock;

const READY_WITHIN: Duration = Duration::from_secs(30);
/// Starts with other ports when another process has taken these.
const PORT_ATTEMPTS: usize = 5;

/// The program `P` running as a process on free ports of the loopback device.
#[derive(Debug)]
pub struct Process<P> {
    executable: PathBuf,
    options: Options,
    dir: TempDir,
    ports: Ports,
    /// None while the server is down.
    child: Option<Child>,
    log: Log,
    program: PhantomData<P>,
}

impl<P: Program> Process<P> {
    fn command(&self) -> Command {
        let (client, peer) = (self.ports.client_url(), self.ports.peer_url());
        let mut command = Command::new(&self.executable);
        command
            .arg(format!("--data-dir={}", self.data_dir().display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=default={peer}"))
            .args(P::FLAGS)
            .args(self.options.flags.iter().map(|flag| renamed::<P>(flag)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // The servers read their flags from the environment too.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ETCD_")) {
            command.env_remove(name);
        }
        command
    }

    fn spawn(&mut self) -> io::Result<()> {
        let mut child = with_spawn_lock(|| self.command().spawn())?;
        self.log.begin_run();
        self.log.follow(child.stdout.take());
        self.log.follow(child.stderr.take());
        self.child = Some(child);
        Ok(())
    }

    /// Spawns and waits until `reached` holds for the lines of this run. Takes other ports when they clash.
    async fn launch(&mut self, reached: impl Fn(&Run) -> bool) -> Result<(), StartError> {
        for attempt in 1.. {
            self.spawn()?;
            match self.wait_until(&reached).await {
                Err(StartError::Exited { logs, .. })
                    if logs.to_ascii_lowercase().contains("address already in use")
                        && attempt < PORT_ATTEMPTS =>
                {
                    self.ports = Ports::free()?;
                }
                outcome => return outcome,
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn wait_until(&mut self, reached: impl Fn(&Run) -> bool) -> Result<(), StartError> {
        let child = self.child.as_mut().expect("spawned just before");
        let mut runs = self.log.runs.subscribe();
        let outcome = timeout(READY_WITHIN, async {
            tokio::select! {
                biased;
                run = runs.wait_for(|run| reached(run)) => {
                    run.expect("the sender lives in self");
                    Ok(())
                }
                status = child.wait() => Err(status),
            }
        })
        .await;
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => {
                self.child = None;
                self.log.finished().await;
                Err(StartError::Exited { status: describe(status), logs: self.log.text() })
            }
            Err(_) => Err(StartError::NotReady { waited: READY_WITHIN, logs: self.log.text() }),
        }
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let Some(pid) = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed())) else { return Ok(()) };
        Ok(kill_process(pid, signal)?)
    }

    async fn reap(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.wait().await?;
            self.log.finished().await;
        }
        Ok(())
    }
}

impl<P: Program> Cluster for Process<P> {
    const KIND: Kind = P::KIND;

    fn available() -> Result<(), Missing> {
        P::locate().map(drop)
    }

    async fn start(options: &Options) -> Result<Self, StartError> {
        // This may build the program, which must not block a worker of the runtime.
        let executable = tokio::task::spawn_blocking(P::locate).await.map_err(io::Error::other)??;
        let mut process = Self {
            executable,
            options: options.clone(),
            dir: tempfile::Builder::new().prefix("ferretcd-suite-").tempdir()?,
            ports: Ports::free()?,
            child: None,
            log: Log::default(),
            program: PhantomData,
        };
        process.launch(|run| run.ready).await?;
        Ok(process)
    }

    fn endpoint(&self) -> String {
        self.ports.client_url()
    }

    fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    fn logs(&self) -> String {
        self.log.text()
    }

    async fn stop(&mut self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        timeout(STOP_WITHIN, self.reap()).await.map_err(io::Error::from)?
    }

    async fn restart(&mut self) -> Result<(), StartError> {
        assert!(self.child.is_none(), "only a server that is down can be restarted");
        self.launch(|run| run.ready).await
    }
}

impl<P: Program> Killable for Process<P> {
    fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    async fn kill9(&mut self) -> io::Result<()> {
        self.signal(Signal::KILL)?;
        self.reap().await
    }

    async fn restart_and_kill9_after(&mut self, lines: usize) -> Result<(), StartError> {
        assert!(self.child.is_none(), "only a server that is down can be restarted");
        self.launch(|run| run.ready || run.lines >= lines).await?;
        Ok(self.kill9().await?)
    }
}

/// A flag in the spelling of the program.
pub(crate) fn renamed<P: Program>(flag: &str) -> String {
    let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
    match P::RENAMED.iter().find(|(usual, _)| *usual == name) {
        Some((_, own)) => format!("{own}={value}"),
        None => flag.to_owned(),
    }
}

pub(crate) fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("an unknown status ({error})"),
    }
}
