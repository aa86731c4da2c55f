//! Requests to list, add, remove and update members.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferretcd_base::MemberId;
use ferretcd_membership::{Change, Contact, Member, Membership, Url, added_member_id};

use super::{Cluster, ReconfigureError};
use crate::{Caller, RequestError};

/// A member that has been active for so long counts as reachable.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// Changes of the members. They have no time-out: each returns when the change is decided, and dropping the future
/// gives up waiting for that, while the change itself may still come. Everything is durable on return.
impl Cluster {
    /// The members: with every change that was acknowledged before this call if `linearizable`, else as this member
    /// knows them.
    pub async fn member_list(
        &self,
        caller: &Caller,
        linearizable: bool,
    ) -> Result<Arc<Membership>, RequestError> {
        if linearizable {
            self.read_index.wait().await?;
        }
        self.gate.check_user(caller).await?;
        Ok(self.member.membership())
    }

    /// Adds a member that will be reached at `peer_urls`; the time goes into its id. Returns the new member, and
    /// all members. A voter counts in quorums as soon as it has caught up with the log, not before.
    pub async fn member_add(
        &self,
        caller: &Caller,
        peer_urls: &[Url],
        is_learner: bool,
        unix_seconds: u64,
    ) -> Result<(Member, Arc<Membership>), ReconfigureError> {
        self.gate.check_root(caller).await?;
        let mut peer_urls: Vec<String> = peer_urls.iter().map(ToString::to_string).collect();
        peer_urls.sort_unstable();
        let id = added_member_id(&peer_urls, unix_seconds);
        let member = Member { id, peer_urls, is_learner, is_joining: !is_learner, ..Member::default() };
        if self.member.config().strict_reconfig {
            self.member.membership().check_add(is_learner, self.contact().await?).inspect_err(|error| {
                tracing::warn!(
                    "local-member-id" = %self.member.id(),
                    "requested-member-add" = %id,
                    %error,
                    "rejecting member add request"
                );
            })?;
        }
        let learners_max = self.member.config().learners_max;
        let members = self.configure(&Change::Add { member: member.clone(), learners_max }).await?;
        Ok((member, members))
    }

    /// Removes a member for ever. Returns the members that stay. If it leads, another one is made to lead first, as far
    /// as that is possible: nothing is decided between the end of a leader and the next election.
    pub async fn member_remove(
        &self,
        caller: &Caller,
        id: MemberId,
    ) -> Result<Arc<Membership>, ReconfigureError> {
        self.gate.check_root(caller).await?;
        if self.member.config().strict_reconfig {
            self.member.membership().check_remove(id, self.contact().await?).inspect_err(|error| {
                tracing::warn!(
                    "local-member-id" = %self.member.id(),
                    "requested-member-remove-id" = %id,
                    %error,
                    "rejecting member remove request"
                );
            })?;
        }
        if self.member.status().leader == Some(id) {
            self.take_leadership(id).await;
        }
        Ok(self.configure(&Change::Remove(id)).await?)
    }

    /// Changes the URLs of a member; the texts are taken as they are. Returns all members.
    pub async fn member_update(
        &self,
        caller: &Caller,
        id: MemberId,
        peer_urls: Vec<String>,
    ) -> Result<Arc<Membership>, ReconfigureError> {
        self.gate.check_root(caller).await?;
        Ok(self.configure(&Change::UpdatePeerUrls(id, peer_urls)).await?)
    }

    /// How well this member hears the others. A member that needs a snapshot is not stable, however well it is heard.
    async fn contact(&self) -> Result<impl Fn(MemberId) -> Contact, RequestError> {
        let now = Instant::now();
        let standings = self.standings().await?;
        Ok(move |id| match self.peers.active_since(id) {
            _ if id == self.member.id() => Contact::Stable,
            Some(since)
                if now.saturating_duration_since(since) > STABLE_AFTER && !standings.needs_snapshot(id) =>
            {
                Contact::Stable
            }
            Some(_) => Contact::Recent,
            None => Contact::None,
        })
    }
}
