//! The language of watch streams.
//!
//! | request | effect and response |
//! |---|---|
//! | `open` | begins an rpc; the other requests do so if there is none |
//! | `watch RANGE` | creates a watch with the options `id=N rev=R noput nodelete filter=N prev_kv progress fragment`; its response |
//! | `cancel ID` | its response |
//! | `progress` | everything up to its response, and the response |
//! | `unanswered REQUEST` | sends one of the three above, or `nothing`, which is a request without content |
//! | `events N` | so many events of the stream, by watch and then in the order of arrival; progress between them is left out |
//! | `next` | the next response as it came |
//! | `close` | the half close |
//!
//! Responses that come before an awaited one are kept for the next request. All take `on=NAME`, the name of a stream
//! where there are several, and `open` takes `meta:NAME=VALUE`. Everything else is a request of [`KvSession`].

mod request;
mod response;

use std::collections::{BTreeMap, VecDeque};

use tonic::Status;

use self::response::Gathered;
use super::kv::{KvSession, with};
use super::run::Session;
use super::words::{self, number};
use crate::{Cluster, NO_WATCH, Response, WatchStream};

/// Performs requests over gRPC, among them those on watch streams.
#[derive(Debug)]
pub struct WatchSession {
    kv: KvSession,
    streams: BTreeMap<String, Stream>,
}

/// A stream and the responses that no request has taken yet.
#[derive(Debug)]
struct Stream {
    call: WatchStream,
    kept: VecDeque<Response>,
}

impl<C: Cluster> Session<C> for WatchSession {
    const FRESH: bool = false;

    async fn open(cluster: &C) -> Self {
        Self { kv: KvSession::open(cluster).await, streams: BTreeMap::new() }
    }

    async fn execute(&mut self, cluster: &mut C, request: &[String]) -> Vec<String> {
        const VERBS: [&str; 8] =
            ["open", "watch", "cancel", "progress", "unanswered", "events", "next", "close"];
        let words = words::words(&request[0]);
        if !VERBS.contains(&words[0]) {
            return self.kv.execute(cluster, request).await;
        }
        let (names, words): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.starts_with("on="));
        let name = names.first().map_or("", |word| words::option(word).1);
        match self.perform(name, &words).await {
            Ok(lines) => lines,
            Err(status) => vec![format!("error {:?}: {}", status.code(), status.message())],
        }
    }

    fn failed(response: &[String]) -> bool {
        <KvSession as Session<C>>::failed(response)
    }
}

impl WatchSession {
    async fn perform(&mut self, name: &str, words: &[&str]) -> Result<Vec<String>, Status> {
        if words[0] == "open" {
            let metadata = with(&words[1..], ()).metadata().clone();
            let call = WatchStream::open_with(&self.kv.clients, metadata);
            self.streams.insert(name.to_owned(), Stream { call, kept: VecDeque::new() });
            return Ok(Vec::new());
        }
        let shown = &self.kv.shown;
        let stream = self
            .streams
            .entry(name.to_owned())
            .or_insert_with(|| Stream { call: WatchStream::open(&self.kv.clients), kept: VecDeque::new() });
        Ok(match words {
            ["unanswered", request @ ..] => {
                stream.call.send(request::any(request, shown.base)).await;
                Vec::new()
            }
            ["watch", ..] => {
                stream.call.send(request::any(words, shown.base)).await;
                shown.watch(&stream.until(|response| response.created).await?)
            }
            ["cancel", id] => {
                let id: i64 = number(id);
                stream.call.cancel(id).await;
                shown.watch(&stream.until(|response| response.canceled && response.watch_id == id).await?)
            }
            ["progress"] => {
                stream.call.request_progress().await;
                let response = stream.until(is_progress_of_all).await?;
                let before = stream.kept.drain(..);
                before.chain([response]).flat_map(|response| shown.watch(&response)).collect()
            }
            ["events", count] => {
                let mut gathered = Gathered::default();
                while gathered.events() < number(count) {
                    gathered.add(stream.next().await?, shown);
                }
                gathered.lines()
            }
            ["next"] => shown.watch(&stream.next().await?),
            ["close"] => {
                stream.call.half_close();
                Vec::new()
            }
            other => panic!("{other:?} is not a request of this language"),
        })
    }
}

fn is_progress_of_all(response: &Response) -> bool {
    response.watch_id == NO_WATCH && response.is_progress()
}

impl Stream {
    async fn next(&mut self) -> Result<Response, Status> {
        match self.kept.pop_front() {
            Some(response) => Ok(response),
            None => self.receive().await,
        }
    }

    async fn receive(&mut self) -> Result<Response, Status> {
        self.call.next().await?.ok_or_else(|| Status::ok("the server ended the call"))
    }

    /// Waits for a response and keeps those that come before it. It can't be one of those kept already: it responds
    /// to a request that was sent just now.
    async fn until(&mut self, awaited: impl Fn(&Response) -> bool) -> Result<Response, Status> {
        loop {
            let response = self.receive().await?;
            if awaited(&response) {
                return Ok(response);
            }
            self.kept.push_back(response);
        }
    }
}
