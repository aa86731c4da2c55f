//! The built program while it waits for members that never start.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any step of a working program takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that does not outlive its test.
struct Process {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Process {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferretcd"));
        command.env_clear().args(args).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// The next log line with this message.
    fn line(&mut self, message: &str) -> serde_json::Value {
        let mut line = String::new();
        while self.log.read_line(&mut line).unwrap() > 0 {
            let fields: serde_json::Value = serde_json::from_str(&line).unwrap();
            if fields["msg"] == message {
                return fields;
            }
            line.clear();
        }
        panic!("the log ends without {message:?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn a_founder_without_a_quorum_serves_probes_and_ends_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(&[
        "--name=a",
        &format!("--data-dir={}", directory.path().join("data").display()),
        "--listen-peer-urls=http://127.0.0.1:0",
        "--listen-client-urls=http://127.0.0.1:0",
        "--advertise-client-urls=http://127.0.0.1:1",
        "--listen-metrics-urls=http://127.0.0.1:0",
        "--initial-advertise-peer-urls=http://127.0.0.1:1",
        // Nothing listens there.
        "--initial-cluster=a=http://127.0.0.1:1,b=http://127.0.0.1:2",
    ]);
    let serving = process.line("serving metrics");
    let live = get(serving["address"].as_str().unwrap(), "/livez");
    assert!(live.starts_with("HTTP/1.1 200 "), "{live}");
    let pid = Pid::from_child(&process.child);
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(process.child.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
}
