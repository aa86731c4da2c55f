//! Requests to members about their state: status, readiness, leader, hashes.

use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::StatusResponse;

use super::until::Attempts;
use super::{DEADLINE, Members, until};
use crate::{Clients, Program};

/// A status request that takes longer is sent again.
const WORD_WITHIN: Duration = Duration::from_secs(2);

impl<P: Program> Members<P> {
    fn brief_clients(&self, number: usize) -> Clients {
        Clients::lazy_as(&self.client_url(number), WORD_WITHIN, self.user.clone())
    }

    /// The member's own status.
    pub async fn status(&self, number: usize) -> Result<StatusResponse, String> {
        let response = self.brief_clients(number).maintenance.status(pb::StatusRequest {}).await;
        let response = response.map_err(|status| format!("m{number}: {status}"))?.into_inner();
        Ok(response)
    }

    /// Waits until a started member serves linearizable reads. A learner never does: it only has to know a leader.
    ///
    /// # Panics
    ///
    /// When it ends, or does not serve in time.
    pub async fn ready(&mut self, number: usize) {
        let what = format!("{} is ready", self.name(number));
        let clients = self.brief_clients(number);
        let member = &mut self.members[number];
        let serving = async {
            let mut attempts = Attempts::begin(&what, DEADLINE);
            loop {
                if let Some(id) = attempts.next(serving(&clients)).await {
                    break id;
                }
            }
        };
        let id = tokio::select! {
            id = serving => id,
            status = member.ended() => {
                panic!("{} has ended: {}", member.name, crate::cluster::describe(status));
            }
        };
        let known = self.members[number].id.replace(id);
        assert!(known.is_none_or(|known| known == id), "m{number} had id {known:?} and has {id} now");
    }

    /// The id of a member that has been ready or was added.
    pub fn id(&self, number: usize) -> u64 {
        self.members[number].id.expect("its id is known since it was ready or added")
    }

    /// The number of the member with this id.
    pub fn number(&self, id: u64) -> Option<usize> {
        self.members.iter().position(|member| member.id == Some(id))
    }

    /// The leader and its term, once all running members agree on one that runs.
    pub async fn leader_and_term(&self) -> (usize, u64) {
        let running = self.running();
        self.leader_among(&running).await
    }

    /// The leader, once all running members agree on one that runs.
    pub async fn leader(&self) -> usize {
        self.leader_and_term().await.0
    }

    /// The leader and its term, once these members agree on one of them.
    pub async fn leader_among(&self, numbers: &[usize]) -> (usize, u64) {
        self.leader_after(numbers, 0).await
    }

    /// As [`leader_among`](Self::leader_among), in a later term than `term`. Members may report a new leader before
    /// they report its term.
    pub async fn leader_after(&self, numbers: &[usize], term: u64) -> (usize, u64) {
        until("the members agree on a leader", DEADLINE, async || {
            let mut found = None;
            for &number in numbers {
                let status = self.status(number).await?;
                let leader = self.number(status.leader).filter(|leader| numbers.contains(leader));
                let leader = leader.ok_or_else(|| format!("m{number} follows {:x}", status.leader))?;
                let said = (leader, status.raft_term);
                if status.raft_term <= term {
                    return Err(format!("m{number} is in term {}", status.raft_term));
                }
                if *found.get_or_insert(said) != said {
                    return Err(format!("m{number} says {said:?}, m{} says {found:?}", numbers[0]));
                }
            }
            found.ok_or_else(|| "no member runs".to_owned())
        })
        .await
    }

    /// A running member that is not the leader.
    pub async fn follower(&self) -> usize {
        let leader = self.leader().await;
        self.running().into_iter().find(|&number| number != leader).expect("there are several members")
    }

    /// Waits until all running voters have applied the same revision, and compares the hashes of their histories.
    ///
    /// # Panics
    ///
    /// When the hashes differ, or the voters do not reach one revision in time.
    pub async fn assert_equal(&self) {
        let running = self.running();
        let hashes = until("all members have one history", DEADLINE, async || {
            let (mut hashes, mut revision) = (Vec::new(), 0);
            for &number in &running {
                let status = self.status(number).await?;
                revision = revision.max(status.header.expect("every response has a header").revision);
            }
            for &number in &running {
                if self.status(number).await?.is_learner {
                    continue;
                }
                let request = pb::HashKvRequest { revision };
                let response = self.brief_clients(number).maintenance.hash_kv(request).await;
                let response = response.map_err(|error| format!("m{number}: {error}"))?.into_inner();
                hashes.push((number, revision, response.hash, response.compact_revision));
            }
            let compacted = hashes.first().map_or(0, |hash| hash.3);
            match hashes.iter().all(|hash| hash.3 == compacted) {
                true => Ok(hashes),
                false => Err(format!("compactions differ: {hashes:?}")),
            }
        })
        .await;
        let first = hashes.first().map(|hash| hash.2);
        let is_equal = hashes.iter().all(|hash| Some(hash.2) == first);
        assert!(is_equal, "hashes differ (member, revision, hash, compacted): {hashes:?}");
    }

    /// Waits until a linearizable read through the member succeeds, and returns how long that took.
    pub async fn serves(&self, number: usize) -> Duration {
        let sent = Instant::now();
        until(&format!("m{number} serves reads"), DEADLINE, async || {
            let range = pb::RangeRequest { key: "any".into(), ..Default::default() };
            let response = self.brief_clients(number).kv.range(range).await;
            response.map(drop).map_err(|error| error.to_string())
        })
        .await;
        sent.elapsed()
    }
}

/// The id of a member that serves linearizable reads. A learner never does: it only has to know a leader.
async fn serving(clients: &Clients) -> Result<u64, String> {
    let (mut maintenance, mut kv) = (clients.maintenance.clone(), clients.kv.clone());
    let status = maintenance.status(pb::StatusRequest {}).await.map_err(|error| error.to_string())?;
    let status = status.into_inner();
    if status.leader == 0 {
        return Err("it knows no leader".to_owned());
    }
    if !status.is_learner {
        let range = pb::RangeRequest { key: "any".into(), ..Default::default() };
        kv.range(range).await.map_err(|error| error.to_string())?;
    }
    Ok(status.header.expect("every response has a header").member_id)
}
