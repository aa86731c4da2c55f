//! Membership changes.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::Member;
use tonic::{Code, Status};

use super::member::Beginning;
use super::{DEADLINE, Members, until};
use crate::Program;

impl<P: Program> Members<P> {
    /// The members as one of them lists them, by a linearizable request.
    pub async fn list(&self, through: usize) -> Result<Vec<Member>, Status> {
        let request = pb::MemberListRequest { linearizable: true };
        Ok(self.clients(through).cluster.member_list(request).await?.into_inner().members)
    }

    /// Adds a member through another one, and retries while the cluster is not healthy enough: members that have just
    /// started do not count as healthy yet. The caller starts the new member.
    ///
    /// # Panics
    ///
    /// When the cluster rejects it for another reason.
    pub async fn add(&mut self, through: usize, is_learner: bool) -> usize {
        let number = self.room().await;
        let peer_url = self.peer_url(number);
        let mut cluster = self.clients(through).cluster;
        let member = until(&format!("m{number} is added"), DEADLINE, async || {
            let request = pb::MemberAddRequest { peer_urls: vec![peer_url.clone()], is_learner };
            match cluster.member_add(request).await {
                Ok(response) => Ok(response.into_inner().member.expect("the response has the member")),
                Err(status) if is_not_yet(&status) => Err(status.to_string()),
                Err(status) => panic!("m{number} is rejected: {status}"),
            }
        })
        .await;
        self.members[number].id = Some(member.id);
        number
    }

    /// Prepares one more member, whose flags say that it joins the existing ones.
    pub async fn room(&mut self) -> usize {
        let settled = self.settle().await;
        let number = settled.expect("there is room for another member");
        let (cluster, token) = (self.initial_cluster(), self.members[0].beginning.token.clone());
        self.members[number].beginning = Beginning { cluster, is_new: false, token };
        number
    }

    /// Adds a member, starts it and waits until it serves.
    pub async fn grow(&mut self, through: usize) -> usize {
        let number = self.add(through, false).await;
        self.restart(number).await;
        number
    }

    /// Removes a member through another one, and retries while the cluster is not healthy enough. The process of the
    /// removed member is not touched.
    ///
    /// # Panics
    ///
    /// When the cluster rejects it for another reason.
    pub async fn remove(&mut self, through: usize, number: usize) {
        let (id, mut cluster) = (self.id(number), self.clients(through).cluster);
        until(&format!("m{number} is removed"), DEADLINE, async || {
            match cluster.member_remove(pb::MemberRemoveRequest { id }).await {
                Ok(_) => Ok(()),
                Err(status) if is_not_yet(&status) => Err(status.to_string()),
                Err(status) => panic!("the removal of m{number} is rejected: {status}"),
            }
        })
        .await;
        self.forget(number);
    }

    /// Leaves the member out of the initial cluster of new ones.
    pub fn forget(&mut self, number: usize) {
        self.members[number].is_removed = true;
    }

    /// Promotes a learner, once it has caught up.
    ///
    /// # Panics
    ///
    /// When the cluster rejects it for another reason.
    pub async fn promote(&self, through: usize, number: usize) {
        let (id, mut cluster) = (self.id(number), self.clients(through).cluster);
        until(&format!("m{number} is promoted"), DEADLINE, async || {
            match cluster.member_promote(pb::MemberPromoteRequest { id }).await {
                Ok(_) => Ok(()),
                Err(status) if is_not_yet(&status) || status.message().contains("in sync with leader") => {
                    Err(status.to_string())
                }
                Err(status) => panic!("the promotion of m{number} is rejected: {status}"),
            }
        })
        .await;
    }

    /// Sets the flags of a member's next start without data: the members, by number, and the token.
    pub fn pretend(&mut self, number: usize, members: &[usize], is_new: bool, token: &str) {
        let members = members.iter().map(|&other| format!("{}={}", self.name(other), self.peer_url(other)));
        let cluster = members.collect::<Vec<_>>().join(",");
        self.members[number].beginning = Beginning { cluster, is_new, token: token.to_owned() };
    }
}

/// Whether the cluster rejects a change only for now.
fn is_not_yet(status: &Status) -> bool {
    status.code() == Code::Unavailable
        || status.message().contains("not enough started members")
        || status.code() == Code::DeadlineExceeded
}
