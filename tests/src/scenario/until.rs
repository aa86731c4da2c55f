//! Commands of etcdctl that run until they are ended.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::timeout;

use super::ctl::run;
use crate::client::RESPONSE_WITHIN;

/// An action once a command has written some lines.
#[derive(Debug)]
pub(super) struct Step {
    /// The number of lines.
    pub(super) after: usize,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// A line for its stdin.
    Tell(String),
    /// Another command, which has to succeed.
    Run(Vec<String>),
}

/// The output of a command until it was ended.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// Whether it ended by itself, or took too long.
    pub(super) complaint: Option<String>,
    lines: usize,
}

/// Runs a command until it has written so many lines, and ends it. Its stdin is open until then. Lines of the
/// client library's log don't count. Other commands get the same endpoint.
pub(super) async fn until(
    endpoint: &str,
    lines: usize,
    mut child: Child,
    steps: Vec<Step>,
) -> io::Result<Written> {
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let mut pipes = Pipes {
        stdout: BufReader::new(child.stdout.take().expect("stdout is piped")).lines(),
        stderr: BufReader::new(child.stderr.take().expect("stderr is piped")).lines(),
    };
    let mut written = Written::default();
    let all = async {
        for step in steps {
            pipes.read(&mut written, step.after).await?;
            match step.what {
                What::Tell(line) => stdin.write_all(format!("{line}\n").as_bytes()).await?,
                What::Run(words) => {
                    let output = run(endpoint, &words, "", None).await?;
                    assert!(output.status.success(), "{words:?}: {output:?}");
                }
            }
        }
        pipes.read(&mut written, lines).await
    };
    let outcome = timeout(RESPONSE_WITHIN, all).await.unwrap_or_else(|late| Err(late.into()));
    if let Err(error) = outcome {
        written.complaint = Some(format!("{} lines instead of {lines}: {error}", written.lines));
    }
    child.kill().await?;
    Ok(written)
}

struct Pipes {
    stdout: tokio::io::Lines<BufReader<ChildStdout>>,
    stderr: tokio::io::Lines<BufReader<ChildStderr>>,
}

impl Pipes {
    /// Reads until there are so many lines. Errs when both pipes have ended before that.
    async fn read(&mut self, written: &mut Written, until: usize) -> io::Result<()> {
        while written.lines < until {
            let (line, into) = tokio::select! {
                Ok(Some(line)) = self.stdout.next_line() => (line, &mut written.stdout),
                Ok(Some(line)) = self.stderr.next_line() => (line, &mut written.stderr),
                else => return Err(io::ErrorKind::UnexpectedEof.into()),
            };
            into.push_str(&line);
            into.push('\n');
            written.lines += usize::from(!line.starts_with("{\"level\":"));
        }
        Ok(())
    }
}
