//! The way into the log: from a typed request to its typed response.

pub(crate) mod ids;
pub(crate) mod replicated;
pub(crate) mod submissions;
pub(crate) mod waiters;

use std::sync::Arc;
use std::time::Instant;

use ferretcd_apply::Command;
use ferretcd_auth::AuthInfo;
use ferretcd_raft_node::Proposal;
use tokio::sync::oneshot;

use self::ids::RequestIds;
use self::replicated::ReplicatedRequest;
use self::submissions::Submissions;
use self::waiters::Waiters;
use crate::auth::gate::{Admitted, Gate};
use crate::channels::Channels;
use crate::metrics::Metrics;
use crate::metrics::durations::{RequestKind, RequestTimer};
use crate::replies::{Reply, outcome};
use crate::{Caller, MemberInfo, RequestError};

/// Entries that may wait to be applied before proposals are rejected.
const BACKLOG_MAX: u64 = 5000;

type Submitted = Result<oneshot::Receiver<Result<Reply, RequestError>>, RequestError>;

/// Proposes requests and waits for their outcomes. Clones are cheap.
#[derive(Clone, Debug)]
pub(crate) struct Proposer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ids: RequestIds,
    waiters: Arc<Waiters>,
    submissions: Arc<Submissions>,
    metrics: Arc<Metrics>,
    gate: Gate,
    member: MemberInfo,
}

impl Proposer {
    pub(crate) fn new(channels: &Channels, gate: Gate, member: MemberInfo) -> Self {
        let ids = RequestIds::new(member.id(), member.config().boot_unix_ms);
        let (waiters, submissions) = (Arc::clone(&channels.waiters), Arc::clone(&channels.submissions));
        let metrics = Arc::clone(&channels.metrics);
        Self(Arc::new(Inner { ids, waiters, submissions, metrics, gate, member }))
    }

    /// Proposes a request at once, and only if its caller may have a token that is not known here yet, later; the future
    /// waits for the response. While this member leads, the log has requests in the order of these calls.
    pub(crate) fn propose<'a, R: ReplicatedRequest>(
        &'a self,
        caller: &'a Caller,
        request: R,
    ) -> impl Future<Output = Result<R::Response, RequestError>> + Send + use<'a, R> {
        let timer = self.timer::<R>();
        let proposed = match self.0.gate.try_admit(caller) {
            Some(admitted) => Ok(self.submit(admitted, request, None)),
            None => Err(request),
        };
        async {
            let submitted = match proposed {
                Ok(submitted) => submitted,
                Err(request) => self.submit(self.0.gate.admit(caller).await, request, None),
            };
            self.response::<R>(timer, submitted).await
        }
    }

    /// As [`Self::propose`], for what this member may do only as the leader of `term`. The proposal is dropped when
    /// that term is over.
    pub(crate) fn propose_as_leader<'a, R: ReplicatedRequest>(
        &'a self,
        term: u64,
        request: R,
    ) -> impl Future<Output = Result<R::Response, RequestError>> + Send + use<'a, R> {
        let timer = self.timer::<R>();
        // Needs no waiting.
        let admitted = self.0.gate.try_admit(&Caller::MEMBER).unwrap_or(Err(RequestError::Stopped));
        let submitted = self.submit(admitted, request, Some(term));
        async { self.response::<R>(timer, submitted).await }
    }

    fn timer<R: ReplicatedRequest>(&self) -> RequestTimer<'_> {
        RequestTimer::start(&self.0.metrics.requests, RequestKind::Logged(R::KIND))
    }

    fn submit(
        &self,
        admitted: Result<Admitted, RequestError>,
        request: impl ReplicatedRequest,
        only_in_term: Option<u64>,
    ) -> Submitted {
        let Inner { ids, waiters, submissions, member, .. } = &*self.0;
        if member.is_stopping() {
            return Err(RequestError::Stopped);
        }
        if member.n_unapplied() > BACKLOG_MAX {
            return Err(RequestError::TooManyRequests);
        }
        let admitted = admitted?;
        let AuthInfo { username, revision: auth_revision } = admitted.info();
        let (id, request) = (ids.next(), request.into_request());
        let data = Command { id, username: username.to_owned(), auth_revision, request }.encode();
        let max = member.config().request_bytes_max;
        if data.len() > max {
            return Err(RequestError::TooLarge { max });
        }
        let receiver =
            waiters.register(id, Instant::now(), data.len()).ok_or(RequestError::TooManyRequests)?;
        submissions.propose(Proposal { only_in_term, ..Proposal::new(id, data) });
        // `stop` fails the waiters that it finds; a waiter that was registered later finds this.
        if member.is_stopping() {
            return Err(RequestError::Stopped);
        }
        Ok(receiver)
    }

    async fn response<R: ReplicatedRequest>(
        &self,
        timer: RequestTimer<'_>,
        submitted: Submitted,
    ) -> Result<R::Response, RequestError> {
        let outcome = match submitted {
            Ok(receiver) => outcome(receiver).await,
            Err(error) => Err(error),
        };
        let since = timer.started();
        if let Err(RequestError::TooManyRequests) = outcome {
            timer.cancel();
        } else {
            // What the state machine rejects has gone all the way.
            timer.end(matches!(outcome, Ok(_) | Err(RequestError::Apply(_) | RequestError::NoSpace)));
        }
        let Reply { revision, response, slow } = outcome?;
        if let Some(slow) = slow {
            slow.log(since, revision, &response);
        }
        let header = self.0.member.header(revision);
        Ok(R::response(response, header).expect("the state machine responds in the kind of the request"))
    }

    /// An id for a request, unique in the cluster.
    pub(crate) fn next_id(&self) -> u64 {
        self.0.ids.next()
    }

    pub(crate) fn waiters(&self) -> &Waiters {
        &self.0.waiters
    }
}
