//! Signals, readiness and limits, in a child process: this test program once more, running only `child`.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{StartSignals, notify_ready, raise_fd_limit};

const CHILD: &str = "FERRETCD_TEST_CHILD";

/// The life of a server without its work. It repeats each line of the standard input. Its start lasts until the line
/// "ready", its "closing" until the end.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let signals = StartSignals::install().unwrap();
    let mut out = std::io::stdout();
    match raise_fd_limit() {
        Ok(_) => writeln!(out, "limit is fine").unwrap(),
        Err(error) => {
            writeln!(out, "{error}: {}", error.limit).unwrap();
            std::process::exit(1);
        }
    }
    echo("ready");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let signal = runtime.block_on(async {
        let mut signals = signals.receive().unwrap();
        notify_ready();
        let echo = tokio::task::spawn_blocking(|| echo(""));
        let signal = signals.recv().await;
        writeln!(std::io::stdout(), "closing after {signal}").unwrap();
        echo.await.unwrap();
        signal
    });
    let _ = signal.end_process();
}

/// Repeats lines up to this one, or to the end.
fn echo(last: &str) {
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        writeln!(std::io::stdout(), "{line}").unwrap();
        if line == last {
            return;
        }
    }
}

fn child_command() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "lifecycle::tests::child", "--nocapture"]).env(CHILD, "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// What a child is doing when it gets a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Closing,
}

impl Phase {
    /// A child in this phase. `directory` is for the socket of the supervisor.
    fn child(self, directory: &Path) -> Child {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut child = child_command().env("NOTIFY_SOCKET", &path).spawn().unwrap();
        wait_for_line(&mut child, "limit is fine");
        if self != Self::Starting {
            say(&child, "ready");
            let mut message = [0; 64];
            let n = socket.recv(&mut message).unwrap();
            assert_eq!(message[..n], *b"READY=1");
        }
        if self == Self::Closing {
            send(&child, Signal::TERM);
            wait_for_line(&mut child, "closing after terminated");
        }
        child
    }
}

/// Reads lines until one has `text` in it.
fn wait_for_line(child: &mut Child, text: &str) {
    // Unbuffered, because what a buffer has read is lost with it.
    let out = child.stdout.as_mut().unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    while out.read(&mut byte).unwrap() > 0 {
        line.push(byte[0]);
        if byte[0] == b'\n' {
            if String::from_utf8_lossy(&line).contains(text) {
                return;
            }
            line.clear();
        }
    }
    panic!("the child did not print {text}");
}

fn say(child: &Child, line: &str) {
    writeln!(child.stdin.as_ref().unwrap(), "{line}").unwrap();
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn check(first: Signal, name: &str, second: Signal) {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Phase::Ready.child(directory.path());
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
fn a_start_ends_at_once() {
    let directory = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let directory = directory.path().join(format!("{signal:?}"));
        std::fs::create_dir(&directory).unwrap();
        let mut child = Phase::Starting.child(&directory);
        send(&child, signal);
        assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
    }
}

#[test]
fn signals_of_no_concern_do_nothing() {
    // Those that the kernel ignores by itself, and those that would end a process.
    let named = [
        Signal::HUP,
        Signal::USR1,
        Signal::USR2,
        Signal::PIPE,
        Signal::ALARM,
        Signal::XCPU,
        Signal::XFSZ,
        Signal::VTALARM,
        Signal::PROF,
        Signal::IO,
        Signal::POWER,
        Signal::CHILD,
        Signal::CONT,
        Signal::URG,
        Signal::WINCH,
    ];
    for phase in [Phase::Starting, Phase::Ready, Phase::Closing] {
        let directory = tempfile::tempdir().unwrap();
        let mut child = phase.child(directory.path());
        for signal in named {
            send(&child, signal);
            // Signals are delivered before the read returns, or with it.
            say(&child, "alive");
            wait_for_line(&mut child, "alive");
            assert!(child.try_wait().unwrap().is_none(), "{signal:?} while {phase:?}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn other_signals_keep_their_action() {
    for phase in [Phase::Starting, Phase::Ready, Phase::Closing] {
        let directory = tempfile::tempdir().unwrap();
        let mut child = phase.child(directory.path());
        send(&child, Signal::QUIT);
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::QUIT.as_raw()), "{phase:?}");
    }
}

#[test]
fn too_few_descriptors_are_an_error() {
    let run = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(std::env::current_exe().unwrap());
        shell.args(["--exact", "lifecycle::tests::child", "--nocapture"]).env(CHILD, "1");
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let output = run(r#"ulimit -n 150; exec "$@""#).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("file descriptor limit of etcd process is too low; please set higher: 150"),
        "{text}"
    );

    // A low soft limit is raised to the hard one.
    let mut child = run(r#"ulimit -S -n 100; exec "$@""#);
    wait_for_line(&mut child, "limit is fine");
    child.kill().unwrap();
    child.wait().unwrap();
}
