use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ferretcd_base::Utc;
use http::HeaderMap;
use tracing::Level;

use crate::body::Observe;
use crate::framing::PREFIX;
use crate::note::{Content, Describe, Note};

/// A running unary call; writes its line when dropped, if the log has that level.
#[derive(Debug)]
pub struct RequestStats {
    path: &'static str,
    remote: Option<SocketAddr>,
    limit: Duration,
    start: Instant,
    /// From the start to the service's response; `None` until then.
    spent: Option<Duration>,
    request_size: RequestSize,
    /// Where the handler says what the request is, if that is wanted.
    note: Option<Note>,
    /// Sum of the messages sent so far.
    response_size: u64,
}

#[derive(Debug)]
enum RequestSize {
    Unknown,
    Announced(u64),
    Counted(Arc<AtomicU64>),
}

impl RequestStats {
    pub(crate) fn start(path: &'static str, remote: Option<SocketAddr>, limit: Duration) -> RequestStats {
        RequestStats {
            path,
            remote,
            limit,
            start: Instant::now(),
            spent: None,
            request_size: RequestSize::Unknown,
            note: None,
            response_size: 0,
        }
    }

    /// Takes the request's size from what `seen` counts.
    pub(crate) fn count_request(mut self, seen: &Seen) -> RequestStats {
        self.request_size = RequestSize::Counted(seen.0.clone());
        self
    }

    /// Takes the request's content from what its handler notes.
    pub(crate) fn noted(mut self, note: Option<Note>) -> RequestStats {
        self.note = note;
        self
    }

    /// Takes the request's size from the length of its body, if that is known before it is read.
    pub(crate) fn announced_request(mut self, body_len: Option<u64>) -> RequestStats {
        if let Some(len) = body_len {
            self.request_size = RequestSize::Announced(len.saturating_sub(PREFIX as u64));
        }
        self
    }

    /// Stops the clock; returns the call only if there will be a line to write.
    pub(crate) fn responded(mut self) -> Option<Box<RequestStats>> {
        let spent = self.start.elapsed();
        self.spent = Some(spent);
        (self.is_slow(spent) || tracing::enabled!(Level::DEBUG)).then(|| Box::new(self))
    }

    fn is_slow(&self, spent: Duration) -> bool {
        spent > self.limit
    }

    fn write(&self, spent: Duration) {
        let content = self.note.as_ref().and_then(Note::message).and_then(Describe::content);
        // -1 is etcd's word for unknown. The response is not decoded here.
        let Content { count, text } = content.unwrap_or(Content { count: -1, text: String::new() });
        macro_rules! request_stats {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    {
                        "start time" = %Utc(started(self.start)),
                        "time spent" = ?spent,
                        remote = %Remote(self.remote),
                        "response type" = self.path,
                        "request count" = count,
                        "request size" = self.request_size.get(),
                        "response count" = -1,
                        "response size" = self.response_size,
                        "request content" = text
                    },
                    "request stats"
                )
            };
        }
        if self.is_slow(spent) {
            request_stats!(Level::WARN);
        } else {
            request_stats!(Level::DEBUG);
        }
    }
}

impl RequestSize {
    fn get(&self) -> i64 {
        match self {
            RequestSize::Unknown => -1,
            RequestSize::Announced(size) => *size as i64,
            RequestSize::Counted(size) => size.load(Ordering::Relaxed) as i64,
        }
    }
}

impl Drop for RequestStats {
    fn drop(&mut self) {
        let spent = self.spent.unwrap_or_else(|| self.start.elapsed());
        if self.is_slow(spent) || tracing::enabled!(Level::DEBUG) {
            self.write(spent);
        }
    }
}

/// Watches the response on its way out.
impl Observe for Box<RequestStats> {
    fn message(&mut self, len: u64) {
        self.response_size += len;
    }

    fn end(self, _trailers: Option<&HeaderMap>) {}
}

/// Adds up the messages of a request while the service reads them.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<AtomicU64>);

impl Observe for Seen {
    fn message(&mut self, len: u64) {
        self.0.fetch_add(len, Ordering::Relaxed);
    }

    fn end(self, _trailers: Option<&HeaderMap>) {}
}

struct Remote(Option<SocketAddr>);

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("@"),
        }
    }
}

/// When `start` was on the calendar, since 1970, so that only calls that are logged read the wall clock.
fn started(start: Instant) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a log line tells people the time of day")]
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(start.elapsed())
}
