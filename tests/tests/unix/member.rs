//! A process in a directory of its own, and what is said to it there.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use ferretcd_tests::Program;
use ferretcd_tests::scenario::CtlSession;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longer than any step of a working program takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// More than any process of these tests logs.
const LINES_MAX: usize = 10_000;
/// What a log says when the member serves clients.
const READY: &str = "ready to serve client requests";

/// A working directory with a path so short that those of sockets fit.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("fu-").tempdir().expect("there is room"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The URL of a path, with this scheme.
    pub(crate) fn url(&self, scheme: &str, name: &str) -> String {
        format!("{scheme}://{}", self.path(name).display())
    }

    /// Starts the program here, as a member with this name and nothing but these flags.
    pub(crate) async fn start<P: Program>(&self, name: &str, flags: &[String]) -> Member {
        let found = tokio::task::spawn_blocking(P::locate).await.expect("it does not panic");
        let executable = found.unwrap_or_else(|missing| panic!("failed to {missing}"));
        let mut command = Command::new(executable);
        command.env_clear().current_dir(self.0.path());
        command.args([format!("--name={name}"), format!("--data-dir=data.{name}")]).args(flags);
        command.args(["--heartbeat-interval=20", "--election-timeout=200"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().expect("it can be started");
        let mut pipe = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let (sender, lines) = mpsc::channel(LINES_MAX);
        tokio::spawn(async move {
            while let Ok(Some(line)) = pipe.next_line().await {
                let _ = sender.send(line).await;
            }
        });
        Member { child, lines, log: String::new() }
    }

    /// The same, and waits until it serves clients.
    pub(crate) async fn ready<P: Program>(&self, name: &str, flags: &[String]) -> Member {
        let mut member = self.start::<P>(name, flags).await;
        member.says(READY).await;
        member
    }

    /// What etcdctl prints when it is run here.
    pub(crate) async fn etcdctl(&self, words: &[&str]) -> String {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(words).current_dir(self.0.path()).stdin(Stdio::null());
        let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
        let Output { status, stdout, stderr } =
            output.unwrap_or_else(|_| panic!("{words:?} takes too long")).expect("etcdctl runs");
        assert!(status.success(), "{words:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("a text").trim_end().to_owned()
    }

    /// The permissions of a socket that this process makes.
    pub(crate) fn usual_mode(&self) -> u32 {
        let path = self.path("usual");
        let _socket = std::os::unix::net::UnixListener::bind(&path).expect("nothing is there");
        let mode = mode(&path);
        fs::remove_file(&path).expect("it is there");
        mode
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// Whether this machine has the etcdctl that the tests are written for.
pub(crate) async fn has_etcdctl() -> bool {
    let available = CtlSession::available().await;
    if let Err(missing) = &available {
        ferretcd_tests::report::skipped("unix", &format!("failed to {missing}"));
    }
    available.is_ok()
}

pub(crate) fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// The flags of a sole member at these URLs for clients, whose port for peers is `peer:1`.
pub(crate) fn sole(listened: &[String], advertised: &str) -> Vec<String> {
    vec![
        format!("--listen-client-urls={}", listened.join(",")),
        format!("--advertise-client-urls={advertised}"),
        "--listen-peer-urls=unix://peer:1".to_owned(),
        "--initial-advertise-peer-urls=unix://peer:1".to_owned(),
        "--initial-cluster=sole=unix://peer:1".to_owned(),
    ]
}

/// A process that does not outlive its test.
pub(crate) struct Member {
    child: Child,
    /// Taken off the pipe at once, because a process waits when that is full.
    lines: mpsc::Receiver<String>,
    /// What was read of the log.
    pub(crate) log: String,
}

impl Member {
    /// The next line; `None` at the end of the log.
    async fn line(&mut self) -> Option<String> {
        let line = timeout(PATIENCE, self.lines.recv()).await;
        let line = line.unwrap_or_else(|_| panic!("nothing more is logged after\n{}", self.log))?;
        self.log.push_str(&line);
        self.log.push('\n');
        Some(line)
    }

    /// Reads on to a line with these words, unless one has been read.
    pub(crate) async fn says(&mut self, words: &str) {
        while !self.log.contains(words) {
            assert!(self.line().await.is_some(), "{words:?} is not in\n{}", self.log);
        }
    }

    fn send(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.unwrap_or_else(|| panic!("it has ended\n{}", self.log));
        kill_process(pid, signal).expect("own children take signals");
    }

    /// Waits for the end, and reads the rest of the log.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        while self.line().await.is_some() {}
        let status = timeout(PATIENCE, self.child.wait()).await.expect("its log has ended");
        status.expect("a child can be waited for")
    }

    pub(crate) async fn stop(mut self) {
        self.send(Signal::TERM);
        self.ended().await;
    }

    pub(crate) async fn kill9(mut self) {
        self.send(Signal::KILL);
        self.ended().await;
    }
}

/// The response to a request over HTTP/1.1, as curl sends it: a POST if there is a body.
pub(crate) async fn http(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, body: &str) -> String {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let exchange = async {
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.expect("it ends the connection in order");
        String::from_utf8(response).expect("a text")
    };
    timeout(PATIENCE, exchange).await.unwrap_or_else(|_| panic!("{path} takes too long"))
}

pub(crate) async fn dial(path: &Path) -> UnixStream {
    UnixStream::connect(path).await.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
