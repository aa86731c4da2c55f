//! Requests and assertions of all cases.

use std::future::Future;
use std::process;
use std::time::Duration;

use etcd_client::{Client, Event, EventType, WatchResponse, WatchStream};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin, stdin};
use tokio::time::timeout;

/// How long a case waits for one response before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server under test, which the caller of this program can restart.
pub(crate) struct Server {
    endpoint: String,
    caller: Lines<BufReader<Stdin>>,
}

impl Server {
    pub(crate) fn new(endpoint: String) -> Self {
        Self { endpoint, caller: BufReader::new(stdin()).lines() }
    }

    pub(crate) async fn connect(&self) -> Client {
        in_time(Client::connect([&self.endpoint], None)).await.expect("connect")
    }

    /// Lets the caller end the server, by `kill9` or by `stop`, and start it again. The protocol is lines:
    /// `server: HOW` on stdout, `up URL` on stdin.
    pub(crate) async fn restart(&mut self, how: &str) {
        println!("server: {how}");
        let response = in_time(self.caller.next_line()).await.expect("read stdin");
        let response = response.expect("the caller restarts the server");
        let url = response.strip_prefix("up ").unwrap_or_else(|| panic!("the caller responded {response:?}"));
        assert_eq!(url, self.endpoint, "the server moved");
    }
}

pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("no response in time")
}

/// A prefix that only this run of the case uses.
pub(crate) fn prefix(case: &str) -> String {
    format!("{case}/{}/", process::id())
}

pub(crate) async fn put(client: &mut Client, key: &str, value: &str) -> i64 {
    let response = in_time(client.put(key, value, None)).await.expect("put");
    response.header().expect("etcd sends headers").revision()
}

/// Takes the next response of the stream.
pub(crate) async fn next(stream: &mut WatchStream) -> WatchResponse {
    in_time(stream.message()).await.expect("the stream failed").expect("the stream ended")
}

/// Takes the response to the creation of a watch and returns its id.
pub(crate) async fn created(stream: &mut WatchStream) -> i64 {
    let response = next(stream).await;
    assert!(response.created() && !response.canceled() && response.events().is_empty(), "{response:?}");
    response.watch_id()
}

/// Takes responses until the watch `id` has delivered `n` events; all must be of this watch.
pub(crate) async fn events(stream: &mut WatchStream, id: i64, n: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < n {
        let response = next(stream).await;
        assert_eq!(response.watch_id(), id, "{response:?}");
        assert!(!response.created() && !response.canceled(), "{response:?}");
        events.extend_from_slice(response.events());
    }
    assert_eq!(events.len(), n, "{events:?}");
    events
}

pub(crate) fn revision(response: &WatchResponse) -> i64 {
    response.header().expect("etcd sends headers").revision()
}

pub(crate) fn mod_revision(event: &Event) -> i64 {
    event.kv().expect("every event has a key").mod_revision()
}

/// Events as text such as `+3 put a=1 (was 0)`, revisions counted from `base`.
pub(crate) fn lines(base: i64, prefix: &str, events: &[Event]) -> Vec<String> {
    let line = |event: &Event| {
        let kv = event.kv().expect("every event has a key");
        let key = kv.key_str().expect("keys are text");
        let key = key.strip_prefix(prefix).unwrap_or(key);
        let change = match event.event_type() {
            EventType::Put => format!("put {key}={}", kv.value_str().expect("values are text")),
            EventType::Delete => format!("delete {key}"),
        };
        let before = match event.prev_kv() {
            Some(before) => format!(" (was {})", before.value_str().expect("values are text")),
            None => String::new(),
        };
        format!("+{} {change}{before}", kv.mod_revision() - base)
    };
    events.iter().map(line).collect()
}
