//! A server process with default settings, apart from addresses, data directory and log level.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::load::{Load, Pace, Span};
use super::machine::Placement;
use super::requests::Requests;
use super::{Outcome, pause};

const START_TIME_MAX: Duration = Duration::from_secs(300);

/// A running member of its own one-member cluster. Dropping it kills the process and deletes the data.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    program: PathBuf,
    folder: TempDir,
    client: SocketAddr,
    peer: SocketAddr,
    placement: Placement,
}

impl Server {
    /// Starts `program` on an empty data directory below `data_dir`; returns when it has answered a request.
    pub(super) fn start(program: &Path, data_dir: &Path, placement: &Placement) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("server-").tempdir_in(data_dir)?;
        // Both are held until both are known, else they could be the same.
        let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [client, peer] = [listeners[0].local_addr()?, listeners[1].local_addr()?];
        drop(listeners);
        let child = spawn(program, folder.path(), client, peer, placement)?;
        let placement = placement.clone();
        let mut server = Self { child, program: program.to_owned(), folder, client, peer, placement };
        server.await_first_answer()?;
        Ok(server)
    }

    /// Kills the process without warning and starts it again on its data. The time until it has answered.
    pub(super) fn crash_and_restart(&mut self) -> Outcome<Duration> {
        self.kill();
        let begin = Instant::now();
        self.child = spawn(&self.program, self.folder.path(), self.client, self.peer, &self.placement)?;
        self.await_first_answer()?;
        Ok(begin.elapsed())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.client
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The end of what the server has logged, for error messages.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Asks until a linearizable read is answered: the readiness that users see, whatever the log level.
    fn await_first_answer(&mut self) -> Outcome<()> {
        let begin = Instant::now();
        let one = Load { clients: 1, connections: 1, pace: Pace::Closed, span: Span::Requests(1) };
        loop {
            // Any answer will do: the key does not exist yet.
            let error = match one.run(self.client, &mut Requests::probe(), |_| Ok(())) {
                Ok(seen) if seen.answered == 1 => return Ok(()),
                Ok(_) => "the first request was refused".into(),
                Err(error) => error,
            };
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended with {status}\n{}", self.last_words()).into());
            }
            if begin.elapsed() > START_TIME_MAX {
                return Err(format!("the server is not ready: {error}\n{}", self.last_words()).into());
            }
            pause(Duration::from_millis(2));
        }
    }

    fn kill(&mut self) {
        // Both fail only when the process has been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(
    program: &Path,
    folder: &Path,
    client: SocketAddr,
    peer: SocketAddr,
    placement: &Placement,
) -> Outcome<Child> {
    let client = format!("http://{client}");
    let peer = format!("http://{peer}");
    let mut command = Command::new(program);
    command
        .args(["--name", "bench", "--data-dir"])
        .arg(folder.join("data"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("bench={peer}")])
        // Below this level etcd writes a line for each slow request, and is measured writing them.
        .args(["--logger", "zap", "--log-level", "error"])
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("ETCD_")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::options().create(true).append(true).open(folder.join("log"))?);
    let child = placement.spawn(|| command.spawn())?;
    child.map_err(|error| format!("{} does not start: {error}", program.display()).into())
}
