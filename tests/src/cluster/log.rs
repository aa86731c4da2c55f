//! The output of a process.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

/// The line that all servers log when they serve clients.
const READY: &str = "ready to serve client requests";

/// The progress of the current run of the process, as its output shows it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// Lines written since the spawn.
    pub(crate) lines: usize,
    /// Whether [`READY`] was in one of them.
    pub(crate) ready: bool,
    /// Output pipes still open.
    open: usize,
}

/// The output of the process, over all its runs.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Locked for one append or one copy.
    text: Arc<Mutex<String>>,
    /// The progress of the current run.
    pub(crate) runs: watch::Sender<Run>,
}

impl Log {
    /// Resets the progress before the process starts again.
    pub(crate) fn begin_run(&self) {
        self.runs.send_replace(Run::default());
    }

    /// Everything that was written up to now.
    pub(crate) fn text(&self) -> String {
        self.text.lock().expect("no holder panics").clone()
    }

    /// Waits until all output of the ended process has arrived.
    pub(crate) async fn finished(&self) {
        let mut runs = self.runs.subscribe();
        runs.wait_for(|run| run.open == 0).await.expect("the sender lives in self");
    }

    /// Collects the output from a pipe.
    pub(crate) fn follow(&self, pipe: Option<impl AsyncRead + Unpin + Send + 'static>) {
        let Some(pipe) = pipe else { return };
        let (text, runs) = (Arc::clone(&self.text), self.runs.clone());
        runs.send_modify(|run| run.open += 1);
        tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                let line = String::from_utf8_lossy(&line);
                {
                    let mut text = text.lock().expect("no holder panics");
                    text.push_str(&line);
                    text.push('\n');
                }
                runs.send_modify(|run| {
                    run.lines += 1;
                    run.ready |= line.contains(READY);
                });
            }
            runs.send_modify(|run| run.open -= 1);
        });
    }
}
