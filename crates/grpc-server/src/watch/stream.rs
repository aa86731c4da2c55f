//! One watch stream: requests in, responses out, polled by the task of its call.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use ferretcd_api_proto::errors::CancelReason;
use ferretcd_api_proto::etcdserverpb::WatchRequest;
use ferretcd_engine::WatchSession;
use ferretcd_listen::RunningCall;
use ferretcd_watch::Delivery;
use tokio_stream::Stream;
use tonic::Status;
use tonic::codec::Streaming;

use super::Shared;
use super::chunks::Chunks;
use super::metrics::Sent;
use super::requests::Wish;
use super::responses::Responses;
use super::ticker::Ticker;
use crate::responses::PollChunk;
use crate::texts;

/// Requests of one stream that are looked at in a row; then others have their turn.
const REQUESTS_MAX: usize = 256;

/// The state of a stream. Everything that it waits for wakes the one task that polls it.
#[derive(Debug)]
pub(crate) struct WatchStream {
    shared: Arc<Shared>,
    session: WatchSession,
    /// `None` when the client has sent its last one; its watches go on.
    requests: Option<Streaming<WatchRequest>>,
    /// Creations whose answer is to come.
    n_creating: usize,
    /// The answer to a creation that was refused while others wait for theirs: clients tell them apart by
    /// their order. No request is read meanwhile.
    refusal: Option<CancelReason>,
    /// Taken from the session; empty but during a poll.
    deliveries: Vec<Delivery>,
    /// Whether the last poll of the session had some. Requests are looked at when it had none, and else with
    /// the second one in a row: a quiet stream is spared a look at them for each event.
    was_told: bool,
    out: Chunks,
    /// Since a watch has asked for progress.
    ticker: Option<Ticker>,
    /// How the stream ends, once everything is sent.
    end: Option<Status>,
    _call: Option<RunningCall>,
}

impl WatchStream {
    pub(super) fn new(
        shared: Arc<Shared>,
        requests: Streaming<WatchRequest>,
        requires_leader: bool,
        call: Option<RunningCall>,
    ) -> Self {
        Self {
            session: shared.engine.watch(requires_leader),
            shared,
            requests: Some(requests),
            n_creating: 0,
            refusal: None,
            deliveries: Vec::new(),
            was_told: false,
            out: Chunks::default(),
            ticker: None,
            end: None,
            _call: call,
        }
    }

    /// Turns deliveries into responses.
    fn respond(&mut self) {
        let is_answer =
            |delivery: &&Delivery| matches!(delivery, Delivery::Created { .. } | Delivery::Rejected { .. });
        if self.n_creating > 0 {
            self.n_creating -= self.deliveries.iter().filter(is_answer).count();
        }
        self.write(|responses, deliveries| responses.write_all(deliveries));
        self.deliveries.clear();
    }

    /// Measures the writing of responses; an error ends the stream.
    fn write(&mut self, write: impl FnOnce(&mut Responses<'_>, &[Delivery]) -> Result<(), Status>) {
        let started = Instant::now();
        let mut responses = Responses {
            out: &mut self.out,
            header: self.shared.engine.header(0),
            fragment_bytes: self.shared.message_bytes_max,
            sent: Sent::default(),
        };
        self.end = write(&mut responses, &self.deliveries).err();
        self.shared.metrics.observe(responses.sent, started);
    }

    /// Does what the client asks for, while there is room for more of it.
    fn poll_requests(&mut self, cx: &mut Context<'_>) {
        for _ in 0..REQUESTS_MAX {
            if !self.session.has_room() {
                return;
            }
            if let Some(reason) = self.refusal.take_if(|_| self.n_creating == 0) {
                let revision = self.shared.engine.reader().revision();
                return self.write(|responses, _| responses.write_refusal(revision, reason));
            }
            let Some(requests) = self.requests.as_mut().filter(|_| self.refusal.is_none()) else { return };
            match Pin::new(requests).poll_next(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(request))) => self.grant(request.into()),
                Poll::Ready(None) => self.requests = None,
                Poll::Ready(Some(Err(status))) => {
                    let reworded = texts::reworded(&status, self.shared.message_bytes_max);
                    self.end = Some(reworded.unwrap_or(status));
                    self.requests = None;
                }
            }
        }
        cx.waker().wake_by_ref();
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Create(spec) => {
                if spec.progress_notify {
                    let interval = self.shared.progress_interval;
                    self.ticker.get_or_insert_with(|| Ticker::new(interval));
                }
                self.n_creating += 1;
                self.session.create(spec);
            }
            Wish::Refused(reason) => self.refusal = Some(reason),
            Wish::Cancel(id) => self.session.cancel(id),
            Wish::Progress => self.session.progress(),
            Wish::Nothing => {}
        }
    }

    fn poll_ticker(&mut self, cx: &mut Context<'_>) {
        while self.ticker.as_mut().is_some_and(|ticker| ticker.poll_tick(cx).is_ready()) {
            self.session.tick();
        }
    }
}

impl PollChunk for WatchStream {
    /// Nothing is taken from the session before the connection has taken what there was, so a client that does not
    /// read leaves its events to the hub.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        loop {
            if let Some(chunk) = self.out.pop() {
                return Poll::Ready(Ok(chunk));
            }
            if let Some(status) = self.end.take() {
                return Poll::Ready(Err(status));
            }
            let is_told = self.session.poll_deliveries(cx, &mut self.deliveries).is_ready();
            if is_told {
                self.respond();
            }
            // To a client that reads slowly there is always more to tell, and still it may want a watch canceled.
            let was_told = std::mem::replace(&mut self.was_told, is_told);
            if self.end.is_some() || is_told && !was_told {
                continue;
            }
            self.poll_requests(cx);
            self.poll_ticker(cx);
            if !is_told && self.out.is_empty() && self.end.is_none() {
                return Poll::Pending;
            }
        }
    }
}
