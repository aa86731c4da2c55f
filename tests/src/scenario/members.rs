//! The language of membership changes and downgrades.
//!
//! | request | |
//! |---|---|
//! | `add URL URL ..` | with `learner`: one that does not vote. Words that are no URLs are sent as they are |
//! | `remove MEMBER`, `promote MEMBER`, `move MEMBER` | `move` transfers the leadership |
//! | `update MEMBER URL URL ..` | |
//! | `list` | `linearizable` |
//! | `status` | the raft fields of Maintenance.Status |
//! | `downgrade ACTION VERSION` | `validate`, `enable`, `cancel` or a number |
//! | `await VERSION` | the fields of Maintenance.Status about versions, once the storage version is this one |
//! | `put KEY` | |
//!
//! MEMBER is `self`, the member that gets the request; `new1`, the first one that was added; or a number. Members are
//! shown by these names, with their URLs, one per line and sorted by name: the ids of new ones depend on the time.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::downgrade_request::DowngradeAction;
use tonic::{Code, Status};

use super::run::Session;
use super::words::{number, words};
use crate::members::{Attempts, DEADLINE};
use crate::{Clients, Cluster};

/// Sends membership changes to one member. Each case has a cluster of its own.
#[derive(Debug)]
pub struct MembersSession {
    clients: Clients,
    own: u64,
    /// Ids of the members that were added, in that order.
    added: Vec<u64>,
    /// The texts shown for the member's own addresses.
    own_urls: Vec<(String, &'static str)>,
}

impl<C: Cluster> Session<C> for MembersSession {
    const FRESH: bool = true;

    async fn open(cluster: &C) -> Self {
        let mut clients = Clients::connect(cluster).await.expect("a ready server accepts connections");
        let list = clients.cluster.member_list(pb::MemberListRequest::default()).await;
        let list = list.expect("a ready server knows its members").into_inner();
        let own = list.header.expect("every list has a header").member_id;
        let member = list.members.into_iter().find(|member| member.id == own).expect("it is one of them");
        let urls = |urls: Vec<String>, name| urls.into_iter().map(move |url| (url, name));
        let own_urls = urls(member.peer_urls, "PEER").chain(urls(member.client_urls, "CLIENT")).collect();
        Self { clients, own, added: Vec::new(), own_urls }
    }

    async fn execute(&mut self, _: &mut C, request: &[String]) -> Vec<String> {
        let mut response = self.perform(&request[0]).await;
        // etcd may drop a change that comes before the previous one is applied, and then never responds.
        if C::KIND.reference && matches!(&response, Err(status) if status.code() == Code::Cancelled) {
            response = self.perform(&request[0]).await;
        }
        response.unwrap_or_else(|status| vec![format!("error {:?}: {}", status.code(), status.message())])
    }

    fn failed(response: &[String]) -> bool {
        response.iter().any(|line| line.starts_with("error "))
    }
}

impl MembersSession {
    async fn perform(&mut self, line: &str) -> Result<Vec<String>, Status> {
        let words = words(line);
        let (verb, words) = words.split_first().expect("a request has a verb");
        let has = |option| words.contains(&option);
        let urls = |words: &[&str]| {
            let urls = words.iter().filter(|word| **word != "learner");
            urls.map(|word| self.url(word)).collect::<Vec<_>>()
        };
        let Clients { cluster, maintenance, kv, .. } = &mut self.clients.clone();
        Ok(match *verb {
            "add" => {
                let request = pb::MemberAddRequest { peer_urls: urls(words), is_learner: has("learner") };
                let response = cluster.member_add(request).await?.into_inner();
                let member = response.member.expect("the response has the member");
                self.added.push(member.id);
                let mut out = self.response(response.header, response.members);
                out.insert(0, format!("added {}", self.member(&member)));
                out
            }
            "remove" => {
                let request = pb::MemberRemoveRequest { id: self.id(words[0]) };
                let response = cluster.member_remove(request).await?.into_inner();
                self.response(response.header, response.members)
            }
            "promote" => {
                let request = pb::MemberPromoteRequest { id: self.id(words[0]) };
                let response = cluster.member_promote(request).await?.into_inner();
                self.response(response.header, response.members)
            }
            "update" => {
                let request = pb::MemberUpdateRequest { id: self.id(words[0]), peer_urls: urls(&words[1..]) };
                let response = cluster.member_update(request).await?.into_inner();
                self.response(response.header, response.members)
            }
            "list" => {
                let request = pb::MemberListRequest { linearizable: has("linearizable") };
                let response = cluster.member_list(request).await?.into_inner();
                self.response(response.header, response.members)
            }
            "move" => {
                let request = pb::MoveLeaderRequest { target_id: self.id(words[0]) };
                let response = maintenance.move_leader(request).await?.into_inner();
                vec![format!("header {}", if response.header.is_some() { "there" } else { "absent" })]
            }
            "status" => {
                let response = maintenance.status(pb::StatusRequest {}).await?.into_inner();
                let leader = self.name(response.leader);
                let learner = if response.is_learner { " learner" } else { "" };
                vec![format!("leader {leader}{learner} errors {:?}", response.errors)]
            }
            "downgrade" => {
                let action = match words[0] {
                    "validate" => DowngradeAction::Validate.into(),
                    "enable" => DowngradeAction::Enable.into(),
                    "cancel" => DowngradeAction::Cancel.into(),
                    other => number(other),
                };
                let version = words.get(1).copied().unwrap_or_default().to_owned();
                let response = maintenance.downgrade(pb::DowngradeRequest { action, version }).await?;
                let pb::DowngradeResponse { header, version } = response.into_inner();
                let revision = header.expect("the response has a header").revision;
                vec![format!("revision {revision} version {version}")]
            }
            "await" => self.versions(words[0]).await,
            "put" => {
                let key = words[0].to_owned().into();
                kv.put(pb::PutRequest { key, ..Default::default() }).await?;
                vec![]
            }
            _ => panic!("{verb} is not a request of this language"),
        })
    }

    /// Waits for a storage version.
    async fn versions(&self, storage: &str) -> Vec<String> {
        let mut attempts = Attempts::begin("the storage version", DEADLINE);
        loop {
            if let Some(versions) = attempts.next(self.versions_once(storage)).await {
                return versions;
            }
        }
    }

    async fn versions_once(&self, storage: &str) -> Result<Vec<String>, String> {
        let status = self.clients.maintenance.clone().status(pb::StatusRequest {}).await;
        let pb::StatusResponse { storage_version, downgrade_info, .. } =
            status.map_err(|status| status.to_string())?.into_inner();
        if storage_version != storage {
            return Err(format!("it is {storage_version:?}"));
        }
        let pb::DowngradeInfo { enabled, target_version } = downgrade_info.unwrap_or_default();
        Ok(vec![format!("storage {storage} downgrade {enabled} to {target_version:?}")])
    }

    fn response(&self, header: Option<pb::ResponseHeader>, members: Vec<pb::Member>) -> Vec<String> {
        assert!(members.is_sorted_by_key(|member| member.id), "lists are sorted by id");
        let header = header.expect("every response about members has a header");
        assert!(header.cluster_id > 0 && header.raft_term > 0 && header.member_id == self.own);
        let mut lines: Vec<_> = members.iter().map(|member| self.member(member)).collect();
        lines.sort_by_key(|line| (!line.starts_with("self"), line.clone()));
        lines.insert(0, format!("revision {}", header.revision));
        lines
    }

    fn member(&self, member: &pb::Member) -> String {
        let role = if member.is_learner { "learner" } else { "voter" };
        let shown = |urls: &[String]| {
            let own = |url: &String| self.own_urls.iter().find(|(own, _)| own == url).map(|(_, name)| *name);
            urls.iter().map(|url| own(url).unwrap_or(url).to_owned()).collect::<Vec<_>>().join(",")
        };
        let (peers, clients) = (shown(&member.peer_urls), shown(&member.client_urls));
        format!("{} {role} name={} peers={peers} clients={clients}", self.name(member.id), member.name)
    }

    /// A URL of the request; `PEER` is the member's own.
    fn url(&self, word: &str) -> String {
        let own = self.own_urls.iter().find(|(_, name)| *name == word);
        own.map_or_else(|| word.to_owned(), |(url, _)| url.clone())
    }

    fn id(&self, member: &str) -> u64 {
        match (member, member.strip_prefix("new")) {
            ("self", _) => self.own,
            (_, Some(index)) => self.added[number::<usize>(index) - 1],
            _ => number(member),
        }
    }

    fn name(&self, id: u64) -> String {
        match self.added.iter().position(|added| *added == id) {
            Some(index) => format!("new{}", index + 1),
            None if id == self.own => "self".to_owned(),
            None => format!("member {id:x}"),
        }
    }
}
