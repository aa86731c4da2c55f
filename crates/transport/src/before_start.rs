//! Requests to the members of a cluster for one that has not started yet. They name no member and no cluster.

use std::sync::Arc;
use std::time::Duration;

use ferretcd_base::ClusterId;
use ferretcd_engine::{PeerError, PeerVersions};
use ferretcd_membership::Member;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::Full;
use tokio::task::JoinSet;

use crate::client::{Client, FullResponse, request};
use crate::connect::Connect;
use crate::headers::{CLUSTER_ID, text};
use crate::peer_uri::peer_uri;
use crate::rpc::{DOWNGRADE_PATH, is_downgrading_of, rejected, unreachable, unreadable, versions_of};
use crate::wire_json;

/// One request to each of several URLs, all at once, so that one that is silent holds up no other.
#[derive(Debug)]
struct Requests(JoinSet<(String, Result<FullResponse, PeerError>)>);

impl Requests {
    /// Skips what is no URL.
    fn send(connect: Arc<dyn Connect>, peer_urls: &[String], path: &'static str, timeout: Duration) -> Self {
        let client = Client::for_rpcs(connect, timeout, timeout);
        let mut requests = JoinSet::new();
        for text in peer_urls {
            let (client, text) = (client.clone(), text.clone());
            let Some(url) = peer_uri(&text) else { continue };
            requests.spawn(async move {
                let request = request(&url, Method::GET, path, &HeaderMap::new(), Full::default());
                (text, client.call(request, timeout).await.map_err(unreachable))
            });
        }
        Self(requests)
    }

    /// The next outcome, in any order; `None` after the last.
    async fn next(&mut self) -> Option<(String, Result<FullResponse, PeerError>)> {
        Some(self.0.join_next().await?.expect("a request does not panic"))
    }
}

/// The versions that members report at their peer URLs.
#[derive(Debug)]
pub struct MemberVersions(Requests);

impl MemberVersions {
    /// Requests them from all URLs. Has to be called in a tokio runtime.
    pub fn request(connect: Arc<dyn Connect>, peer_urls: &[String], timeout: Duration) -> Self {
        Self(Requests::send(connect, peer_urls, "/version", timeout))
    }

    /// The next URL that responds, in any order. `None` when none is left, which is after `timeout` at the latest.
    pub async fn next(&mut self) -> Option<(String, PeerVersions)> {
        loop {
            let (url, outcome) = self.0.next().await?;
            if let Ok(versions) = outcome.and_then(|response| versions_of(&response)) {
                return Some((url, versions));
            }
        }
    }
}

/// Fetches the cluster and its members for a member that is about to join. The first peer URL that responds, within
/// `timeout`, decides; the joining member's own must not be among them.
pub async fn cluster_members(
    connect: Arc<dyn Connect>,
    peer_urls: &[String],
    timeout: Duration,
) -> Result<(ClusterId, Vec<Member>), PeerError> {
    let mut requests = Requests::send(connect, peer_urls, "/members", timeout);
    let mut last = PeerError::Unreachable("no valid URL was given".to_owned());
    while let Some((_, outcome)) = requests.next().await {
        match outcome.and_then(|response| members_of(&response)) {
            Ok(members) => return Ok(members),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether the cluster is being downgraded, by the first of its members that knows. `None` if none does within `timeout`.
pub async fn is_downgrading(
    connect: Arc<dyn Connect>,
    peer_urls: &[String],
    timeout: Duration,
) -> Option<bool> {
    let mut requests = Requests::send(connect, peer_urls, DOWNGRADE_PATH, timeout);
    while let Some((_, outcome)) = requests.next().await {
        if let Ok(is_downgrading) = outcome.and_then(|response| is_downgrading_of(&response)) {
            return Some(is_downgrading);
        }
    }
    None
}

fn members_of(response: &FullResponse) -> Result<(ClusterId, Vec<Member>), PeerError> {
    if response.status != StatusCode::OK {
        return Err(rejected(response));
    }
    let cluster = text(&response.headers, &CLUSTER_ID).and_then(|id| u64::from_str_radix(id, 16).ok());
    let cluster = cluster.ok_or_else(|| PeerError::Rejected("the answer names no cluster".to_owned()))?;
    Ok((ClusterId(cluster), wire_json::members(&response.body).map_err(unreadable)?))
}
