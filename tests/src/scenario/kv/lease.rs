//! Requests of the Lease service.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::lease_client::LeaseClient;
use ferretcd_client::Channel;
use tonic::Status;

use super::super::words::{self, number};
use super::{Shown, request, with};
use crate::Renewals;

/// How many seconds may have passed of a lease that a case granted or renewed.
const CASE_SECONDS: i64 = 60;

/// Performs one of the requests, with metadata.
pub(super) async fn perform(
    lease: &mut LeaseClient<Channel>,
    shown: &Shown,
    verb: &str,
    words: &[&str],
    metadata: &[&str],
) -> Result<Vec<String>, Status> {
    let id = words.first().map_or(0, |word| number(word));
    Ok(match verb {
        "grant" => {
            let response = lease.lease_grant(with(metadata, request::grant(words))).await?.into_inner();
            let assigned = id == 0 && response.id > 0;
            let id = if assigned { "assigned".to_owned() } else { response.id.to_string() };
            let lease = format!("lease {id} ttl {}", response.ttl);
            [shown.header_alone(response.header.as_ref()), vec![lease]].concat()
        }
        "revoke" => {
            let response = lease.lease_revoke(with(metadata, pb::LeaseRevokeRequest { id })).await?;
            shown.header_alone(response.into_inner().header.as_ref())
        }
        "attached" => {
            let message = pb::LeaseTimeToLiveRequest { id, keys: true };
            let response = lease.lease_time_to_live(with(metadata, message)).await?.into_inner();
            let mut keys: Vec<_> = response.keys.iter().map(|key| words::show_bytes(key)).collect();
            keys.sort();
            vec![format!("granted {} keys [{}]", response.granted_ttl, keys.join(" "))]
        }
        "left" => {
            let message = pb::LeaseTimeToLiveRequest { id, keys: false };
            let response = lease.lease_time_to_live(with(metadata, message)).await?.into_inner();
            let left = show_left(response.ttl, response.granted_ttl);
            let mut line = format!("lease {} granted {} left {left}", response.id, response.granted_ttl);
            if !response.keys.is_empty() {
                line.push_str(" and keys");
            }
            [shown.header_alone(response.header.as_ref()), vec![line]].concat()
        }
        "leases" => {
            let response = lease.lease_leases(with(metadata, pb::LeaseLeasesRequest {})).await?.into_inner();
            let ids: Vec<_> = response.leases.iter().map(|lease| lease.id.to_string()).collect();
            [shown.header_alone(response.header.as_ref()), vec![format!("leases [{}]", ids.join(" "))]]
                .concat()
        }
        "keepalive" => {
            let ids: Vec<_> = words.iter().map(|word| number(word)).collect();
            keep_alive(lease, shown, &ids).await?
        }
        other => unreachable!("{other} is not about leases"),
    })
}

/// Time passes while a case runs, and a new leader adds up to an election timeout.
fn show_left(left: i64, granted: i64) -> String {
    if left > 0 && (granted - CASE_SECONDS..=granted + 1).contains(&left) {
        "most".to_owned()
    } else {
        left.to_string()
    }
}

/// Renews all, one after the other on one stream, and shows how the stream ends after that.
async fn keep_alive(
    lease: &mut LeaseClient<Channel>,
    shown: &Shown,
    ids: &[i64],
) -> Result<Vec<String>, Status> {
    let mut renewals = Renewals::begin(lease, ids).await?;
    renewals.half_close();
    let mut out = Vec::new();
    loop {
        match renewals.next().await {
            Ok(Some(response)) => {
                out.extend(shown.header_alone(response.header.as_ref()));
                out.push(format!("lease {} ttl {}", response.id, response.ttl));
            }
            Ok(None) => {
                out.push("end".to_owned());
                return Ok(out);
            }
            Err(status) => {
                out.push(format!("error {:?}: {}", status.code(), status.message()));
                return Ok(out);
            }
        }
    }
}
