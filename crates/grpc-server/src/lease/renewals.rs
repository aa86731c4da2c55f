//! One keep-alive stream: renewals in, answers out, polled by the task of its call.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use ferretcd_api_proto::errors::{Error, Untyped};
use ferretcd_api_proto::etcdserverpb::LeaseKeepAliveResponse;
use ferretcd_base::LeaseId;
use ferretcd_engine::{Engine, RequestError};
use ferretcd_listen::{DrainWatcher, RunningCall};
use http_body::Body;
use prost::Message;
use tonic::Status;
use tonic::codegen::StdError;

use super::PREFIX_BYTES;
use super::requests::Requests;
use crate::responses::PollChunk;
use crate::status::{ok, status};

/// Renewals that are answered together at most; then other streams have their turn.
const RENEWALS_MAX: usize = 256;
/// An answer at most: six numbers and the prefixes around them.
const ANSWER_BYTES_MAX: usize = 80;

/// The state of a stream. Everything that it waits for wakes the one task that polls it.
pub(crate) struct Renewals<B> {
    engine: Engine,
    requests: Requests<B>,
    /// Received and not answered.
    received: VecDeque<LeaseId>,
    /// Renewals that wait: for a leader, for the end of a lease, or for the log.
    waiting: Option<Waiting>,
    /// How the stream ends, once everything received is answered. No request is read any more.
    end: Option<Status>,
    drain: DrainWatcher,
    _call: Option<RunningCall>,
}

/// Answers, and what is left to be renewed.
type Renewed = (Vec<LeaseKeepAliveResponse>, VecDeque<LeaseId>);

type Waiting = Pin<Box<dyn Future<Output = Result<Renewed, RequestError>> + Send>>;

impl<B> Renewals<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    pub(super) fn new(
        engine: Engine,
        requests: Requests<B>,
        drain: DrainWatcher,
        call: Option<RunningCall>,
    ) -> Self {
        Self { engine, requests, received: VecDeque::new(), waiting: None, end: None, drain, _call: call }
    }

    /// Takes the renewals that the client has sent. Ready if there are any, or no more will come.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.end.is_none() && self.received.len() < RENEWALS_MAX {
            match self.requests.poll_next(cx) {
                Poll::Ready(Some(Ok(id))) => self.received.push_back(id),
                Poll::Ready(Some(Err(status))) => self.end = Some(status),
                Poll::Ready(None) => self.end = Some(ok()),
                Poll::Pending if self.received.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(())
    }

    /// Answers what was received. Ready if nothing of it is left.
    fn poll_answer(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> Poll<()> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                let renewed = ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
                match renewed {
                    Ok((answers, rest)) => {
                        self.received = rest;
                        answers.iter().for_each(|answer| write(answer, out));
                    }
                    Err(error) => self.end = Some(refusal(&self.engine, error)),
                }
            }
            while let Some(id) = self.received.front()
                && let Some(answer) = self.engine.lease_keep_alive_now(*id)
            {
                self.received.pop_front();
                write(&answer, out);
            }
            if self.received.is_empty() {
                return Poll::Ready(());
            }
            let (engine, ids) = (self.engine.clone(), std::mem::take(&mut self.received));
            self.waiting = Some(Box::pin(async move { engine.lease_keep_alive_all(ids).await }));
        }
    }

    /// A server that stops answers what it can at once and waits for nothing.
    fn stop(&mut self) {
        self.waiting = None;
        self.received.clear();
        self.end = Some(status(Error::Stopped));
    }
}

impl<B> PollChunk for Renewals<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    /// No request is read before the connection has taken the answers to those before.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        let mut out = BytesMut::new();
        let is_answered = self.waiting.is_none() && self.received.is_empty();
        let is_received = if is_answered { self.poll_receive(cx) } else { Poll::Ready(()) };
        if is_received.is_ready() {
            let _ = self.poll_answer(cx, &mut out);
        }
        if self.drain.has_begun(cx) && (self.end.is_none() || self.waiting.is_some()) {
            self.stop();
        }
        if !out.is_empty() {
            return Poll::Ready(Ok(out.freeze()));
        }
        match self.end.take_if(|_| self.waiting.is_none()) {
            Some(status) => Poll::Ready(Err(status)),
            None => Poll::Pending,
        }
    }
}

fn write(answer: &LeaseKeepAliveResponse, out: &mut BytesMut) {
    // On the stack first: there its length need not be known before it is written.
    let mut message = [0; ANSWER_BYTES_MAX];
    let mut rest = &mut message[PREFIX_BYTES..];
    answer.encode(&mut rest).expect("numbers are bounded");
    let end = ANSWER_BYTES_MAX - rest.len();
    (&mut message[1..PREFIX_BYTES]).put_u32((end - PREFIX_BYTES) as u32);
    out.extend_from_slice(&message[..end]);
}

/// A member that thinks it leads, and finds nobody who agrees, sends the client to another one.
fn refusal(engine: &Engine, error: RequestError) -> Status {
    match error {
        RequestError::Timeout if engine.is_leader() => status(Untyped::NotPrimaryLessor),
        error => status(error),
    }
}
