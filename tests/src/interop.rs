//! Suites that are programs of their own: third-party clients, run against a server of this crate.
//!
//! The program finds the server's URL in `INTEROP_ENDPOINT` and exits with status 0 when its expectations hold. It
//! can restart the server: it writes a line `server: kill9` or `server: stop`, and reads a line `up URL` when the
//! server is back.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::spawn_lock::with_spawn_lock;
use crate::{Killable, Options, report};

/// A program that takes longer is taken for hanging.
const DONE_WITHIN: Duration = Duration::from_secs(240);

/// A client that has to be built before it can be run.
#[derive(Clone, Copy, Debug)]
pub struct ClientProgram {
    /// The path of the executable, relative to `target/interop`.
    pub path: &'static str,
    /// The command that builds it, run in the root of the workspace.
    pub build: &'static str,
}

impl ClientProgram {
    /// Starts a server and runs the program against it. Panics, with the output of both, when the program fails.
    /// A program that was not built is skipped with a line on stderr.
    pub async fn run<C: Killable>(self, arguments: &[&str], options: &Options) {
        let what = format!("{} {}", self.path, arguments.join(" "));
        let executable = interop_dir().join(self.path);
        if !executable.is_file() {
            let reason = format!("failed to find {}; build it with `{}`", executable.display(), self.build);
            return report::skipped(&format!("{what} on {}", C::KIND.name), &reason);
        }
        if !report::available::<C>(&what) {
            return;
        }
        let mut server = C::start(options).await.unwrap_or_else(|error| panic!("failed to {error}"));
        let mut output = String::new();
        let run = converse(&executable, arguments, &mut server, &mut output);
        let failure = match timeout(DONE_WITHIN, run).await {
            Ok(Ok(status)) if status.success() => return,
            Ok(Ok(status)) => format!("it ended with {status}"),
            Ok(Err(error)) => format!("failed to speak with it: {error}"),
            Err(_) => format!("it did not end in {DONE_WITHIN:?}"),
        };
        panic!("{what} on {}: {failure}\n{output}\nThe server's log:\n{}", C::KIND.name, server.logs());
    }
}

/// Runs the program to its end and collects its output; restarts the server when the program requests it.
async fn converse<C: Killable>(
    executable: &Path,
    arguments: &[&str],
    server: &mut C,
    output: &mut String,
) -> std::io::Result<ExitStatus> {
    let mut child = spawn(executable, arguments, &server.endpoint())?;
    let mut stdin = child.stdin.take().expect("it is a pipe");
    let errors = tokio::spawn(read(child.stderr.take().expect("it is a pipe")));
    let mut lines = BufReader::new(child.stdout.take().expect("it is a pipe")).lines();
    while let Some(line) = lines.next_line().await? {
        output.push_str(&line);
        output.push('\n');
        match line.strip_prefix("server: ") {
            Some("kill9") => server.kill9().await?,
            Some("stop") => server.stop().await?,
            Some(other) => panic!("the program requests `{other}`"),
            None => continue,
        }
        server.restart().await.map_err(std::io::Error::other)?;
        stdin.write_all(format!("up {}\n", server.endpoint()).as_bytes()).await?;
    }
    output.push_str(&errors.await.expect("reading does not panic"));
    child.wait().await
}

fn spawn(executable: &Path, arguments: &[&str], endpoint: &str) -> std::io::Result<Child> {
    let mut command = Command::new(executable);
    command
        .args(arguments)
        .env("INTEROP_ENDPOINT", endpoint)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    with_spawn_lock(|| command.spawn())
}

async fn read(mut pipe: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    // An error ends the output: what was read before it is returned.
    let _ = pipe.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `target/interop`: the test executable is in `target/debug/deps` or `target/release/deps`.
fn interop_dir() -> PathBuf {
    let executable = env::current_exe().expect("a process knows its executable");
    let target = executable.ancestors().nth(3).expect("test executables are in target/PROFILE/deps");
    target.join("interop")
}
