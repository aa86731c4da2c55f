//! One watch stream: requests in, responses out, polled by the task of its call.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::WatchRequest;
use ferretcd_engine::WatchSession;
use ferretcd_listen::RunningCall;
use ferretcd_watch::Delivery;
use tokio_stream::Stream;
use tonic::codec::Streaming;
use tonic::{Code, Status};

use super::Shared;
use super::metrics::Sent;
use super::requests::Command;
use super::responses::Responses;
use super::send_queue::SendQueue;
use super::ticker::Ticker;
use super::trail::WatchTrail;
use crate::library_errors;
use crate::responses::PollChunk;
use crate::status::{cancel_text, status};

/// Requests of one stream that are taken in a row; then other streams have their turn.
const REQUESTS_MAX: usize = 256;

/// The state of a stream. Everything that it waits for wakes the one task that polls it.
#[derive(Debug)]
pub(crate) struct WatchStream {
    shared: Arc<Shared>,
    session: WatchSession,
    /// `None` when the client has sent its last one; its watches go on.
    requests: Option<Streaming<WatchRequest>>,
    /// Creations whose response is to come.
    n_creating: usize,
    /// Why a creation was rejected, while others wait for their response: clients match responses by their order.
    /// No request is read meanwhile.
    rejection: Option<Cow<'static, str>>,
    /// Taken from the session; empty but during a poll.
    deliveries: Vec<Delivery>,
    /// Whether the last poll of the session had some. Requests are polled when it had none, and else with the
    /// second one in a row: a quiet stream is spared a poll of them for each event.
    had_deliveries: bool,
    out: SendQueue,
    /// Since a watch has requested progress notices.
    ticker: Option<Ticker>,
    /// How the stream ends, once everything is sent.
    end: Option<Status>,
    /// If calls are audited.
    trail: Option<Box<WatchTrail>>,
    _call: Option<RunningCall>,
}

impl WatchStream {
    pub(super) fn new(
        shared: Arc<Shared>,
        requests: Streaming<WatchRequest>,
        session: WatchSession,
        call: Option<RunningCall>,
        trail: Option<Box<WatchTrail>>,
    ) -> Self {
        Self {
            session,
            shared,
            requests: Some(requests),
            n_creating: 0,
            rejection: None,
            deliveries: Vec::new(),
            had_deliveries: false,
            out: SendQueue::default(),
            ticker: None,
            end: None,
            trail,
            _call: call,
        }
    }

    /// Turns deliveries into responses.
    fn respond(&mut self) {
        let is_creation =
            |delivery: &&Delivery| matches!(delivery, Delivery::Created { .. } | Delivery::Rejected { .. });
        if self.n_creating > 0 {
            self.n_creating -= self.deliveries.iter().filter(is_creation).count();
        }
        if let Some(trail) = &mut self.trail {
            trail.delivered(&self.deliveries);
        }
        self.write(|responses, deliveries| responses.write_all(deliveries));
        self.deliveries.clear();
    }

    /// Measures the writing of responses; an error ends the stream.
    fn write(&mut self, write: impl FnOnce(&mut Responses<'_>, &[Delivery]) -> Result<(), Status>) {
        let started = Instant::now();
        let mut responses = Responses {
            out: &mut self.out,
            header: self.shared.watches.member().header(0),
            fragment_bytes: self.shared.message_bytes_max,
            sent: Sent::default(),
        };
        self.end = write(&mut responses, &self.deliveries).err();
        self.shared.metrics.observe(responses.sent, started);
    }

    /// Executes the client's requests, while there is room for more of them.
    fn poll_requests(&mut self, cx: &mut Context<'_>) {
        for _ in 0..REQUESTS_MAX {
            if !self.session.has_room() {
                return;
            }
            if let Some(reason) = self.rejection.take_if(|_| self.n_creating == 0) {
                let revision = self.shared.watches.member().revision();
                return self.write(|responses, _| responses.write_rejection(revision, &reason));
            }
            let Some(requests) = self.requests.as_mut().filter(|_| self.rejection.is_none()) else { return };
            match Pin::new(requests).poll_next(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(request))) => {
                    if let Some(trail) = &mut self.trail {
                        trail.requested(&request);
                    }
                    self.execute(request.into());
                }
                Poll::Ready(None) => self.requests = None,
                Poll::Ready(Some(Err(status))) => {
                    self.shared.failures.not_received(&status);
                    let reworded = library_errors::reworded(&status, self.shared.message_bytes_max);
                    self.end = Some(reworded.unwrap_or(status));
                    self.requests = None;
                }
            }
        }
        cx.waker().wake_by_ref();
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::Create(spec) => {
                if spec.progress_notify {
                    let interval = self.shared.progress_interval;
                    self.ticker.get_or_insert_with(|| Ticker::new(interval));
                }
                match self.session.create(spec) {
                    Ok(()) => self.n_creating += 1,
                    Err(error) => {
                        let status = status(error);
                        self.reject(status.code(), cancel_text(&status).into());
                    }
                }
            }
            Command::Rejected(reason) => self.reject(Code::OutOfRange, reason.message().into()),
            Command::Cancel(id) => self.session.cancel(id),
            Command::Progress => self.session.progress(),
            Command::Ignored => {}
        }
    }

    fn reject(&mut self, code: Code, reason: Cow<'static, str>) {
        if let Some(trail) = &mut self.trail {
            trail.rejected(code);
        }
        self.rejection = Some(reason);
    }

    fn poll_ticker(&mut self, cx: &mut Context<'_>) {
        while self.ticker.as_mut().is_some_and(|ticker| ticker.poll_tick(cx).is_ready()) {
            self.session.tick();
        }
    }
}

impl PollChunk for WatchStream {
    /// Nothing is taken from the session before the connection has taken all bytes, so the events of a client that
    /// does not read stay with the hub.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        loop {
            if let Some(chunk) = self.out.pop() {
                return Poll::Ready(Ok(chunk));
            }
            if let Some(status) = self.end.take() {
                return Poll::Ready(Err(status));
            }
            let has_deliveries = self.session.poll_deliveries(cx, &mut self.deliveries).is_ready();
            if has_deliveries {
                self.respond();
            }
            // A slow client always has deliveries, and still it may cancel a watch.
            let had_deliveries = std::mem::replace(&mut self.had_deliveries, has_deliveries);
            if self.end.is_some() || has_deliveries && !had_deliveries {
                continue;
            }
            self.poll_requests(cx);
            self.poll_ticker(cx);
            if !has_deliveries && self.out.is_empty() && self.end.is_none() {
                return Poll::Pending;
            }
        }
    }
}
