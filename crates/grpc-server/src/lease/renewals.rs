//! One keep-alive stream: renewals in, responses out, polled by the task of its call.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use ferretcd_api_proto::errors::{Error, Untyped};
use ferretcd_api_proto::etcdserverpb::LeaseKeepAliveResponse;
use ferretcd_base::LeaseId;
use ferretcd_engine::{Caller, Engine, Leases, MemberInfo, RenewedLeases, RequestError};
use ferretcd_listen::{DrainWatcher, RunningCall};
use http_body::Body;
use prost::Message;
use tonic::Status;
use tonic::codegen::StdError;

use super::requests::Requests;
use crate::responses::{PREFIX_BYTES, PollChunk};
use crate::status::{ok, status};
use crate::stream_failures::StreamFailures;

/// Renewals whose responses are sent together at most; then other streams have their turn.
const RENEWALS_MAX: usize = 256;
/// A response at most: six numbers and the prefixes around them.
const RESPONSE_BYTES_MAX: usize = 80;

/// The state of a stream. Everything that it waits for wakes the one task that polls it.
pub(crate) struct Renewals<B> {
    leases: Leases,
    member: MemberInfo,
    caller: Caller,
    /// What the stream relies on.
    renewed: RenewedLeases,
    requests: Requests<B>,
    /// Received, without a response.
    received: VecDeque<LeaseId>,
    /// Renewals that wait: for a leader, for the end of a lease, or for the log.
    waiting: Option<Waiting>,
    /// How the stream ends, once every received renewal has its response. No request is read any more.
    end: Option<Status>,
    drain: DrainWatcher,
    failures: StreamFailures,
    _call: Option<RunningCall>,
}

/// Responses, and the leases that are left to be renewed.
type Renewed = (Vec<LeaseKeepAliveResponse>, VecDeque<LeaseId>);

type Waiting = Pin<Box<dyn Future<Output = Result<Renewed, RequestError>> + Send>>;

impl<B> Renewals<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    pub(super) fn new(
        engine: &Engine,
        caller: Caller,
        requests: Requests<B>,
        drain: DrainWatcher,
        failures: StreamFailures,
        call: Option<RunningCall>,
    ) -> Self {
        Self {
            leases: engine.leases().clone(),
            renewed: engine.leases().renewed(),
            member: engine.member().clone(),
            caller,
            requests,
            received: VecDeque::new(),
            waiting: None,
            end: None,
            drain,
            failures,
            _call: call,
        }
    }

    /// Takes the renewals that the client has sent. Ready if there are any, or no more will come.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.end.is_none() && self.received.len() < RENEWALS_MAX {
            match self.requests.poll_next(cx) {
                Poll::Ready(Some(Ok(id))) => self.received.push_back(id),
                Poll::Ready(Some(Err(status))) => {
                    self.failures.not_received(&status);
                    self.end = Some(status);
                }
                Poll::Ready(None) => self.end = Some(ok()),
                Poll::Pending if self.received.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(())
    }

    /// Renews the received leases. Ready if none of them is left.
    fn poll_renew(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> Poll<()> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                let renewed = ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
                match renewed {
                    Ok((responses, rest)) => {
                        self.received = rest;
                        for response in &responses {
                            self.renewed.add(LeaseId(response.id));
                            write(response, out);
                        }
                    }
                    Err(error) => self.end = Some(renewal_status(&self.member, error)),
                }
            }
            while let Some(id) = self.received.front()
                && let Some(response) = self.leases.try_renew(&self.caller, *id)
            {
                self.received.pop_front();
                self.renewed.add(LeaseId(response.id));
                write(&response, out);
            }
            if self.received.is_empty() {
                return Poll::Ready(());
            }
            let (leases, caller) = (self.leases.clone(), self.caller.clone());
            let ids = std::mem::take(&mut self.received);
            self.waiting = Some(Box::pin(async move { leases.renew(&caller, ids).await }));
        }
    }

    /// Ends the stream without waiting; renewals that could be done at once have their responses.
    fn stop(&mut self, reason: Status) {
        self.waiting = None;
        self.received.clear();
        self.end = Some(reason);
    }
}

impl<B> PollChunk for Renewals<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    /// No request is read before the connection has taken the responses to those before.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        let mut out = BytesMut::new();
        let is_idle = self.waiting.is_none() && self.received.is_empty();
        let is_received = if is_idle { self.poll_receive(cx) } else { Poll::Ready(()) };
        if is_received.is_ready() {
            let _ = self.poll_renew(cx, &mut out);
        }
        if self.drain.has_begun(cx) && (self.end.is_none() || self.waiting.is_some()) {
            self.stop(status(Error::Stopped));
        } else if let Poll::Ready(error) = self.renewed.poll_revoked(cx, &self.caller) {
            self.stop(status(error));
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

fn write(response: &LeaseKeepAliveResponse, out: &mut BytesMut) {
    // On the stack first: there its length need not be known before it is written.
    let mut message = [0; RESPONSE_BYTES_MAX];
    let mut rest = &mut message[PREFIX_BYTES..];
    response.encode(&mut rest).expect("numbers are bounded");
    let end = RESPONSE_BYTES_MAX - rest.len();
    (&mut message[1..PREFIX_BYTES]).put_u32((end - PREFIX_BYTES) as u32);
    out.extend_from_slice(&message[..end]);
}

/// A leader that no quorum confirms sends the client to another member.
fn renewal_status(member: &MemberInfo, error: RequestError) -> Status {
    match error {
        RequestError::Timeout if member.is_leader() => status(Untyped::NotPrimaryLessor),
        error => status(error),
    }
}
