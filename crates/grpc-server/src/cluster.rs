//! The Cluster service.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ferretcd_api_proto::errors::Error;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::cluster_server::Cluster;
use ferretcd_api_proto::etcdserverpb::{
    MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest,
    MemberUpdateResponse,
};
use ferretcd_base::MemberId;
use ferretcd_engine::MemberInfo;
use ferretcd_membership::{Member, Membership, Url};
use tonic::{Request, Response, Status, async_trait};

use crate::caller;
use crate::status::status;

/// Serves the list of members and its changes. Headers of this service carry no revision.
#[derive(Clone, Debug)]
pub(crate) struct ClusterService {
    pub(crate) cluster: ferretcd_engine::Cluster,
    pub(crate) member: MemberInfo,
}

#[async_trait]
impl Cluster for ClusterService {
    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        let (caller, request) = caller::split(request);
        let members = self.cluster.member_list(&caller, request.linearizable).await.map_err(status)?;
        let (header, members) = (self.header(), all_members(&members));
        Ok(Response::new(MemberListResponse { header, members }))
    }

    async fn member_add(
        &self,
        request: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        let (caller, MemberAddRequest { peer_urls, is_learner }) = caller::split(request);
        let peer_urls = parse(&peer_urls).ok_or_else(|| status(Error::MemberBadURLs))?;
        let added = self.cluster.member_add(&caller, &peer_urls, is_learner, unix_seconds()).await;
        let (member, members) = added.map_err(status)?;
        Ok(Response::new(MemberAddResponse {
            header: self.header(),
            member: Some(message(&member)),
            members: all_members(&members),
        }))
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        let (caller, request) = caller::split(request);
        let members = self.cluster.member_remove(&caller, MemberId(request.id)).await.map_err(status)?;
        let (header, members) = (self.header(), all_members(&members));
        Ok(Response::new(MemberRemoveResponse { header, members }))
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        let (caller, MemberUpdateRequest { id, peer_urls }) = caller::split(request);
        // What MemberAdd requires, because these URLs go the same way into the membership of every member.
        let peer_urls = parse(&peer_urls).ok_or_else(|| status(Error::MemberBadURLs))?;
        let peer_urls = peer_urls.iter().map(ToString::to_string).collect();
        let members = self.cluster.member_update(&caller, MemberId(id), peer_urls).await.map_err(status)?;
        let (header, members) = (self.header(), all_members(&members));
        Ok(Response::new(MemberUpdateResponse { header, members }))
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        let (caller, request) = caller::split(request);
        let members = self.cluster.member_promote(&caller, MemberId(request.id)).await.map_err(status)?;
        let (header, members) = (self.header(), members.iter().map(message).collect());
        Ok(Response::new(MemberPromoteResponse { header, members }))
    }
}

impl ClusterService {
    fn header(&self) -> Option<pb::ResponseHeader> {
        Some(self.member.header(0))
    }
}

/// `None` if one of the URLs is malformed, or there are none.
fn parse(urls: &[String]) -> Option<Vec<Url>> {
    let urls: Vec<Url> = urls.iter().map(|url| Url::parse(url).ok()).collect::<Option<_>>()?;
    (!urls.is_empty()).then_some(urls)
}

fn all_members(membership: &Arc<Membership>) -> Vec<pb::Member> {
    membership.members().map(message).collect()
}

fn message(member: &Member) -> pb::Member {
    pb::Member {
        id: member.id.0,
        name: member.name.clone(),
        peer_urls: member.peer_urls.clone(),
        client_urls: member.client_urls.clone(),
        is_learner: member.is_learner,
    }
}

/// Goes into the ids of members that are added.
#[expect(clippy::disallowed_methods, reason = "the time of a request is taken where it comes in")]
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(urls: &[&str], expected: Option<&[&str]>) {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        let parsed = parse(&urls);
        let texts = parsed.as_ref().map(|urls| urls.iter().map(Url::as_str).collect::<Vec<_>>());
        assert_eq!(texts.as_deref(), expected, "{urls:?}");
    }

    #[test]
    fn peer_urls_are_checked() {
        check(&["http://a:1", " https://b:2 "], Some(&["http://a:1", "https://b:2"]));
        check(&["unix:///run/x"], Some(&["unix:///run/x"]));
        for bad in [&[][..], &[""], &["a:1"], &["http://a"], &["http://a:1/"], &["http://a:1", "ftp://b:1"]] {
            check(bad, None);
        }
    }
}
