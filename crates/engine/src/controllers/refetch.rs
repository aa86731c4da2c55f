//! Replacing the data of a corrupt member by those of a healthy one.
//!
//! When the alarm is raised for this member, it fetches a snapshot of a healthy one and goes on from that. The log is not
//! concerned: all members have the same, and the fetched snapshot is put in place when exactly the entries that are in it
//! have been applied here. While it is on its way nothing is applied, so it is never too old.
//!
//! ```text
//! CORRUPT alarm ──► hold ──► fetch snapshot at entry I ≥ applied ──► apply up to I ──► swap ──► go on ──► compare ──► lift
//! ```
//!
//! A crash leaves the old state or the new one, each with its position in the log, and the alarm in both; files that
//! were not put in place are deleted at the start.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::{AlarmType, alarm_request::AlarmAction};
use ferretcd_base::{LogPosition, MemberId};
use ferretcd_data_dir::ReceiveError;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::corruption::is_comparable;
use crate::apply::fence::FenceCommand;
use crate::apply::inbox::Inbox;
use crate::facets::Facets;
use crate::peers::HashKv;
use crate::replies::blocking;
use crate::{Caller, Cluster, Maintenance, MemberInfo, PeerError, PeerSnapshot, RequestError};

/// Between two looks at the alarms.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The pause after the first failure; each that follows doubles it.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Failures in a row after which an operator has to look.
const FAILURES_MAX: u32 = 8;
/// How often the hashes are taken when writes in between make them incomparable.
const COMPARISONS_MAX: usize = 20;
/// Pause between two of them.
const COMPARE_PAUSE: Duration = Duration::from_millis(100);

/// Why the data were not replaced.
#[derive(Debug, thiserror::Error)]
enum RefetchError {
    #[error("give the leadership away first: nobody takes it")]
    StillLeads,
    #[error("find a member without the alarm")]
    NoHealthyMember,
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("put the fetched state in place: the member has got another one, or is stopping")]
    Superseded,
    #[error("compare the data: the hashes are of different revisions or compactions each time")]
    Incomparable,
    #[error("agree with the member: the hash is {own} here and {theirs} there")]
    Different { own: u32, theirs: u32 },
}

/// The controller. Replaces the data whenever the alarm says that they are wrong, if so configured.
pub(super) struct Refetch {
    inbox: Arc<Inbox>,
    cluster: Cluster,
    maintenance: Maintenance,
    member: MemberInfo,
}

impl Refetch {
    pub(super) fn new(facets: Facets, inbox: Arc<Inbox>) -> Self {
        let Facets { cluster, maintenance, member, .. } = facets;
        Self { inbox, cluster, maintenance, member }
    }

    pub(super) async fn run(self) {
        if !self.member.config().refetch_corrupt {
            return;
        }
        let mut n_failed = 0;
        loop {
            sleep(LOOK_INTERVAL).await;
            if !self.has_corrupt_alarm(self.member.id()) {
                n_failed = 0;
                continue;
            }
            if n_failed == FAILURES_MAX {
                continue;
            }
            let Err(error) = self.replace_data().await else {
                n_failed = 0;
                continue;
            };
            n_failed += 1;
            tracing::warn!(%error, attempt = n_failed, "failed to replace the data of this member");
            if n_failed == FAILURES_MAX {
                tracing::error!(
                    attempts = n_failed,
                    "gave up replacing the data of this member; tried again when the CORRUPT alarm is raised anew or the \
                     member is started"
                );
                continue;
            }
            sleep(RETRY_PAUSE * 2_u32.pow(n_failed - 1)).await;
        }
    }

    fn has_corrupt_alarm(&self, member: MemberId) -> bool {
        self.member.has_alarm(AlarmType::Corrupt, member)
    }

    /// Tries one healthy member after the other.
    async fn replace_data(&self) -> Result<(), RefetchError> {
        tracing::warn!("local-member-id" = %self.member.id(), "this member is corrupt; replacing its data");
        if self.member.is_leader() {
            // A leader that applies nothing for a while would hold all clients up.
            self.cluster.transfer_leadership().await;
            if self.member.is_leader() {
                return Err(RefetchError::StillLeads);
            }
        }
        let mut last = RefetchError::NoHealthyMember;
        for source in self.healthy_members() {
            match self.replace_data_by(source).await {
                Ok(()) => {
                    self.lift_alarm().await;
                    return Ok(());
                }
                Err(error) => {
                    tracing::warn!("remote-peer-id" = %source, %error, "failed to replace the data by those of a peer");
                    last = error;
                }
            }
        }
        Err(last)
    }

    /// The other voters without the alarm, the leader first.
    fn healthy_members(&self) -> Vec<MemberId> {
        let (own, leader) = (self.member.id(), self.member.status().leader);
        let membership = self.member.membership();
        let healthy = membership.voters().filter(|id| *id != own && !self.has_corrupt_alarm(*id));
        let mut healthy: Vec<_> = healthy.collect();
        healthy.sort_by_key(|id| Some(*id) != leader);
        healthy
    }

    async fn replace_data_by(&self, source: MemberId) -> Result<(), RefetchError> {
        let (hold, applied) = Hold::begin(&self.inbox).await?;
        tracing::info!(
            "remote-peer-id" = %source,
            "current-applied-index" = applied,
            "asking a peer for its state; applying no entries meanwhile"
        );
        let fetched = self.cluster.peers().fetch_snapshot(source, applied);
        let PeerSnapshot { position: LogPosition { index, term }, len, body } = fetched.await?;
        tracing::info!("remote-peer-id" = %source, index, term, "receiving the state of a peer");
        let (received, member) = (self.maintenance.received().for_refetch(), self.member.clone());
        let bytes = blocking(move || {
            // Of attempts before, which would take room. What cannot be deleted now is deleted at the next start.
            let _ = received.clear();
            let mut body = WhileRunning { body, is_stopping: || member.is_stopping() };
            Ok(received.receive(index, len, &mut body))
        });
        let bytes = bytes.await??;
        tracing::info!("remote-peer-id" = %source, index, bytes, "received the state of a peer");
        hold.install(index).await?;
        self.compare_with(source).await
    }

    /// Makes sure that the data are now those of the source.
    async fn compare_with(&self, source: MemberId) -> Result<(), RefetchError> {
        for _ in 0..COMPARISONS_MAX {
            let own = self.maintenance.hash_kv(&Caller::MEMBER, 0).await?;
            let theirs = self.cluster.peers().call(source, HashKv(own.hash_revision)).await?;
            match (own.hash, theirs.hash) {
                _ if !is_comparable(&own, &theirs) => sleep(COMPARE_PAUSE).await,
                (own, theirs) if own != theirs => return Err(RefetchError::Different { own, theirs }),
                (hash, _) => {
                    let revision = own.hash_revision;
                    tracing::info!("remote-peer-id" = %source, revision, hash, "the data are those of the peer");
                    return Ok(());
                }
            }
        }
        Err(RefetchError::Incomparable)
    }

    /// Takes back the alarm of this member, however long that takes.
    async fn lift_alarm(&self) {
        let own = self.member.id();
        while self.has_corrupt_alarm(own) {
            match self.maintenance.set_alarm(AlarmType::Corrupt, own, AlarmAction::Deactivate).await {
                Ok(()) => {
                    tracing::info!("local-member-id" = %own, "took back the CORRUPT alarm; the data of this member were replaced");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to take back the CORRUPT alarm; trying again");
                    sleep(LOOK_INTERVAL).await;
                }
            }
        }
    }
}

/// The apply thread applies nothing while this value lives.
struct Hold(Arc<Inbox>);

impl Hold {
    /// Also returns the last entry that was applied.
    async fn begin(inbox: &Arc<Inbox>) -> Result<(Self, u64), RefetchError> {
        let (held, is_held) = oneshot::channel();
        // Before the command, so that the hold ends also when this future is dropped.
        let hold = Self(Arc::clone(inbox));
        inbox.command(FenceCommand::Hold(held));
        let applied = is_held.await.map_err(|_| RefetchError::Superseded)?;
        Ok((hold, applied))
    }

    /// Has the fetched snapshot at entry `index` put in place, and everything go on from there.
    async fn install(self, index: u64) -> Result<(), RefetchError> {
        let (done, installed) = oneshot::channel();
        self.0.command(FenceCommand::Install { index, done });
        // The entry comes: it is committed if another member has applied it.
        installed.await.map_err(|_| RefetchError::Superseded)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.command(FenceCommand::Resume);
    }
}

/// A body that ends when the member does.
struct WhileRunning<F> {
    body: Box<dyn Read + Send>,
    is_stopping: F,
}

impl<F: Fn() -> bool> Read for WhileRunning<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.is_stopping)() {
            return Err(io::Error::other("the member is stopping"));
        }
        self.body.read(buffer)
    }
}
