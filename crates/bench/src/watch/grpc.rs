//! One connection with many Watch streams of gRPC.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use ferretcd_api_proto::etcdserverpb::{WatchCreateRequest, WatchRequest, watch_request};
use prost::Message as _;

use super::message::{Incoming, Messages};
use super::plan::{Plan, Reading};
use super::tally::Tally;
use crate::Outcome;
use crate::http2::Wire;
use crate::http2::frame::{self, Head};
use crate::stamp;

/// A stream's window is topped up after this much.
const STREAM_STEP: u32 = 256 << 20;

#[derive(Debug)]
pub(super) struct GrpcConnection {
    wire: Wire,
    plan: Plan,
    /// By age; the nth has the id 2n + 1.
    streams: Vec<Stream>,
    /// The first watcher of the first stream. Watchers are numbered through all streams.
    first: usize,
    /// The next watcher to create, and the end of those of this connection.
    to_create: Range<usize>,
    /// Bytes that have arrived.
    received: u64,
}

#[derive(Debug, Default)]
struct Stream {
    messages: Messages,
    /// Received since the last window update.
    unannounced: u32,
}

impl GrpcConnection {
    /// Connects, for the watchers of these streams out of all of the plan's.
    pub(super) fn open(
        address: SocketAddr,
        token: Option<&str>,
        plan: &Plan,
        streams: Range<usize>,
    ) -> Outcome<Self> {
        let window = match plan.reading {
            Reading::Always => frame::WINDOW_MAX,
            Reading::Never => frame::WINDOW_DEFAULT,
        };
        let wire = Wire::open(address, "/etcdserverpb.Watch/Watch", token, window)?;
        if streams.len() > wire.n_streams_max() {
            let n_max = wire.n_streams_max();
            return Err(format!("the server allows {n_max} streams on a connection").into());
        }
        let watchers = streams.start * plan.watches..streams.end * plan.watches;
        Ok(Self {
            wire,
            plan: *plan,
            streams: streams.map(|_| Stream::default()).collect(),
            first: watchers.start,
            to_create: watchers,
            received: 0,
        })
    }

    /// Bytes that have arrived.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Requests as many watchers as the server's window has room for, and writes the output.
    pub(super) fn flush(&mut self) -> Outcome<()> {
        while let Some(watcher) = self.to_create.clone().next() {
            let message = create_message(&self.plan, watcher);
            if self.wire.send_window() < message.len() as u64 {
                break;
            }
            let stream = (2 * ((watcher - self.first) / self.plan.watches) + 1) as u32;
            if watcher % self.plan.watches == 0 {
                if message.len() * self.plan.watches > self.wire.stream_window() {
                    return Err("the requests of a stream are larger than the server's window for it".into());
                }
                self.wire.begin(stream);
            }
            self.wire.send(stream, &message, false);
            self.to_create.next();
        }
        self.wire.flush()
    }

    /// Are there bytes that the socket did not take?
    pub(super) fn is_clogged(&self) -> bool {
        self.wire.is_clogged()
    }

    /// Reads once and counts what it says.
    pub(super) fn receive(&mut self, tally: &mut Tally) -> Outcome<()> {
        let Self { wire, plan, streams, first, .. } = self;
        let mut to_widen = Vec::new();
        let n_read = wire.receive(|head, payload, now| {
            if head.kind != frame::DATA {
                return check_frame(head);
            }
            let number = (head.stream / 2) as usize;
            let stream = streams.get_mut(number).ok_or("the server has made up a stream")?;
            if head.flags & frame::PADDED != 0 {
                return Err("a frame is padded, which this client does not understand".into());
            }
            stream.unannounced += payload.len() as u32;
            if stream.unannounced >= STREAM_STEP && plan.reading == Reading::Always {
                to_widen.push((head.stream, std::mem::take(&mut stream.unannounced)));
            }
            let mut is_foreign = false;
            let now = stamp::nanos(now);
            let fed = stream.messages.feed(payload, |incoming| match incoming {
                Incoming::Response(response) => tally.response(response),
                // Ids are given out from 1.
                Incoming::Event(id, event) => match usize::try_from(id - 1) {
                    Ok(id) if id < plan.watches => {
                        tally.event(*first + number * plan.watches + id, &event, now);
                    }
                    _ => is_foreign = true,
                },
            });
            if fed.is_err() {
                return Err("the server has sent something that is no answer to a watch".into());
            }
            if is_foreign {
                return Err("an event has a watch id that does not exist".into());
            }
            Ok(())
        })?;
        self.received += n_read as u64;
        for (stream, increment) in to_widen {
            self.wire.widen(stream, increment);
        }
        self.flush()
    }
}

/// Frames other than DATA are well as long as they don't end a stream.
fn check_frame(head: Head) -> Outcome<()> {
    let ends = head.flags & frame::END_STREAM != 0;
    match head.kind {
        frame::RST_STREAM => Err("the server has reset a watch stream".into()),
        frame::HEADERS if ends => Err("the server has ended a watch stream".into()),
        _ => Ok(()),
    }
}

/// The request for a watcher, with gRPC's head.
fn create_message(plan: &Plan, watcher: usize) -> Vec<u8> {
    let (key, range_end) = plan.subject.range(watcher);
    let create = WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        start_revision: plan.start_revision,
        watch_id: (watcher % plan.watches) as i64 + 1,
        ..WatchCreateRequest::default()
    };
    let request = WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) };
    let length = u32::try_from(request.encoded_len()).expect("a request of the bench is small");
    let mut message = vec![0];
    message.extend_from_slice(&length.to_be_bytes());
    request.encode(&mut message).expect("a vector takes as much as it is given");
    message
}

impl AsFd for GrpcConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }
}
