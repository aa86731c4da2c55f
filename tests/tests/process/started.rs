//! A process and its log.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ferretcd_tests::Program;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longer than any step of a working program takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// More than any process of these tests logs.
const LINES_MAX: usize = 10_000;

/// What a log says when the member serves clients.
pub(crate) const READY: &str = "ready to serve client requests";

/// A process that does not outlive its test.
pub(crate) struct Started {
    child: Child,
    /// Taken off the pipe at once, because a process waits when that is full.
    lines: mpsc::Receiver<String>,
    /// What was read of the log.
    pub(crate) log: String,
}

impl Started {
    /// Starts the program with nothing but these flags.
    pub(crate) async fn new<P: Program>(flags: &[String]) -> Self {
        let found = tokio::task::spawn_blocking(P::locate).await.expect("it does not panic");
        let executable = found.unwrap_or_else(|missing| panic!("failed to {missing}"));
        let mut command = Command::new(executable);
        command.env_clear().args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().expect("it can be started");
        let mut pipe = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let (sender, lines) = mpsc::channel(LINES_MAX);
        tokio::spawn(async move {
            while let Ok(Some(line)) = pipe.next_line().await {
                let _ = sender.send(line).await;
            }
        });
        Self { child, lines, log: String::new() }
    }

    /// A sole member on free ports, with further flags.
    pub(crate) async fn sole<P: Program>(data_dir: &Path, flags: &[String]) -> Self {
        Self::new::<P>(&[&sole(data_dir), flags].concat()).await
    }

    /// The next line; `None` at the end of the log.
    pub(crate) async fn line(&mut self) -> Option<String> {
        let line = timeout(PATIENCE, self.lines.recv()).await;
        let line = line.unwrap_or_else(|_| panic!("nothing more is logged after\n{}", self.log))?;
        self.log.push_str(&line);
        self.log.push('\n');
        Some(line)
    }

    /// Reads on to a line with these words, and returns it.
    pub(crate) async fn says(&mut self, words: &str) -> String {
        while let Some(line) = self.line().await {
            if line.contains(words) {
                return line;
            }
        }
        panic!("{words:?} is not in\n{}", self.log)
    }

    /// The address for clients. Reads on if the log has not named it.
    pub(crate) async fn serves(&mut self) -> SocketAddr {
        const WORDS: &str = "serving client traffic insecurely";
        let line = match self.log.lines().find(|line| line.contains(WORDS)) {
            Some(line) => line.to_owned(),
            None => self.says(WORDS).await,
        };
        address_in(&line)
    }

    /// The address in the line with these words, which has been read.
    pub(crate) fn address_of(&self, words: &str) -> SocketAddr {
        let line = self.log.lines().find(|line| line.contains(words));
        address_in(line.unwrap_or_else(|| panic!("{words:?} is not in\n{}", self.log)))
    }

    pub(crate) fn pid(&self) -> Pid {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        pid.unwrap_or_else(|| panic!("it has ended\n{}", self.log))
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("own children take signals");
    }

    /// Waits for the end, and reads the rest of the log.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        while self.line().await.is_some() {}
        timeout(PATIENCE, self.child.wait())
            .await
            .expect("its log has ended")
            .expect("a child can be waited for")
    }
}

fn address_in(line: &str) -> SocketAddr {
    let address = line.split(r#""address":""#).nth(1).and_then(|rest| rest.split('"').next());
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address in {line}"))
}

/// The flags of a sole member on free ports.
pub(crate) fn sole(data_dir: &Path) -> Vec<String> {
    let mut flags = vec![format!("--data-dir={}", data_dir.display())];
    flags.extend(
        [
            "--listen-client-urls=http://127.0.0.1:0",
            "--advertise-client-urls=http://127.0.0.1:1",
            "--listen-peer-urls=http://127.0.0.1:0",
            "--initial-advertise-peer-urls=http://127.0.0.1:1",
            "--initial-cluster=default=http://127.0.0.1:1",
            "--heartbeat-interval=10",
            "--election-timeout=100",
        ]
        .map(str::to_owned),
    );
    flags
}

pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new().prefix("ferretcd-process-").tempdir().expect("there is room")
}

/// The response to a request for the health of a member.
pub(crate) async fn health(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response)
}
