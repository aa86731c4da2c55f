//! Signals, readiness and limits, in a child process: this test program once more, running only `child`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{ShutdownSignals, notify_ready, raise_fd_limit};

const CHILD: &str = "FERRETCD_TEST_CHILD";

/// The life of a server without its work. Its "closing" lasts until the standard input ends.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut out = std::io::stdout();
    match raise_fd_limit() {
        Ok(_) => writeln!(out, "limit is fine").unwrap(),
        Err(error) => {
            writeln!(out, "{error}: {}", error.limit).unwrap();
            std::process::exit(1);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let signal = runtime.block_on(async {
        let mut signals = ShutdownSignals::install().unwrap();
        notify_ready();
        signals.recv().await
    });
    writeln!(out, "closing after {signal}").unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let _ = signal.end_process();
}

fn child_command() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "lifecycle::tests::child", "--nocapture"]).env(CHILD, "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// A child that has said it is ready.
fn ready_child(directory: &Path) -> Child {
    let path = directory.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let child = child_command().env("NOTIFY_SOCKET", &path).spawn().unwrap();
    let mut message = [0; 64];
    let n = socket.recv(&mut message).unwrap();
    assert_eq!(message[..n], *b"READY=1");
    child
}

/// Reads lines until one has `text` in it.
fn wait_for_line(child: &mut Child, text: &str) {
    let out = BufReader::new(child.stdout.as_mut().unwrap());
    assert!(out.lines().any(|line| line.unwrap().contains(text)), "the child did not print {text}");
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn check(first: Signal, name: &str, second: Signal) {
    let directory = tempfile::tempdir().unwrap();
    let mut child = ready_child(directory.path());
    send(&child, first);
    wait_for_line(&mut child, &format!("closing after {name}"));
    // A second signal must not cut the closing short, nor count in the end.
    send(&child, second);
    drop(child.stdin.take());
    let status: ExitStatus = child.wait().unwrap();
    assert_eq!(status.signal(), Some(first.as_raw()));
}

#[test]
fn the_process_ends_by_the_first_signal() {
    check(Signal::TERM, "terminated", Signal::INT);
    check(Signal::INT, "interrupt", Signal::TERM);
}

#[test]
fn other_signals_keep_their_action() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = ready_child(directory.path());
    // Not HUP: under nohup it is ignored, by all children too.
    send(&child, Signal::USR2);
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::USR2.as_raw()));
}

#[test]
fn too_few_descriptors_are_an_error() {
    let run = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(std::env::current_exe().unwrap());
        shell.args(["--exact", "lifecycle::tests::child", "--nocapture"]).env(CHILD, "1");
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let output = run(r#"ulimit -n 149; exec "$@""#).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("file descriptor limit of etcd process is too low; please set higher: 149"),
        "{text}"
    );

    // A low soft limit is raised to the hard one.
    let mut child = run(r#"ulimit -S -n 100; exec "$@""#);
    wait_for_line(&mut child, "limit is fine");
    child.kill().unwrap();
    child.wait().unwrap();
}
