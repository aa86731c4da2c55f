//! Messages to and from a browser.

use std::io;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::spawn_lock::with_spawn_lock;

/// The browser reads commands from descriptor 3 and writes to 4, each message with a zero byte behind it.
const SHELL: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

/// A running browser.
#[derive(Debug)]
pub(super) struct Pipe {
    commands: ChildStdin,
    messages: BufReader<ChildStdout>,
    last_id: u64,
    session: Option<Value>,
    _child: Child,
}

impl Pipe {
    pub(super) fn start(program: &str, arguments: &[&str]) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SHELL, program]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = with_spawn_lock(|| command.spawn())?;
        let commands = child.stdin.take().expect("it is a pipe");
        let messages = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Ok(Self { commands, messages, last_id: 0, session: None, _child: child })
    }

    /// Sends commands to a page from now on.
    pub(super) fn set_session(&mut self, session: &Value) {
        self.session = Some(session.clone());
    }

    /// Sends a command and returns the response. What comes before it is passed to `note`.
    pub(super) async fn call(
        &mut self,
        method: &str,
        parameters: Value,
        mut note: impl FnMut(&Value),
    ) -> io::Result<Value> {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone();
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).await?;
        loop {
            let mut bytes = Vec::new();
            self.messages.read_until(0, &mut bytes).await?;
            if bytes.pop() != Some(0) {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the browser has ended"));
            }
            let message: Value = serde_json::from_slice(&bytes)?;
            if message["id"] == self.last_id {
                return Ok(message);
            }
            note(&message);
        }
    }
}
