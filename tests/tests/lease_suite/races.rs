//! Concurrent clients.

use std::collections::BTreeSet;

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::request_op::Request;
use ferretcd_tests::{Clients, Cluster, Renewals};
use tokio::task::JoinSet;
use tonic::Code;

use super::{assert_gone, grant, put, revoke, rows, start};

pub(crate) async fn races<C: Cluster>() {
    let Some((_cluster, clients)) = start::<C>("races around leases").await else { return };
    one_grant_wins(&clients).await;
    ids_are_unique(&clients).await;
    keys_never_outlive_a_revoke(clients.clone()).await;
    streams_are_independent(clients).await;
}

async fn one_grant_wins(clients: &Clients) {
    const GRANTS: usize = 20;
    let mut running = JoinSet::new();
    for index in 0..GRANTS {
        let mut lease = clients.lease.clone();
        let ttl = 600 + i64::try_from(index).expect("a small number");
        running.spawn(async move {
            let granted = lease.lease_grant(pb::LeaseGrantRequest { id: 77, ttl }).await;
            granted.map(|response| response.into_inner().ttl).map_err(|status| status.message().to_owned())
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = running.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, GRANTS - 1));
    assert!(lost.iter().all(|lost| *lost == Err("etcdserver: lease already exists".to_owned())), "{lost:?}");
    let mut clients = clients.clone();
    let (_, granted) = super::left(&mut clients, 77).await;
    assert_eq!(won, [Ok(granted)]);
}

async fn ids_are_unique(clients: &Clients) {
    const GRANTS: usize = 200;
    let mut running = JoinSet::new();
    for _ in 0..GRANTS {
        let mut clients = clients.clone();
        running.spawn(async move { grant(&mut clients, 0, 600).await.id });
    }
    let ids: BTreeSet<i64> = running.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), GRANTS);
    assert!(ids.iter().all(|id| *id > 0), "{ids:?}");
}

/// A put that names a lease comes before the revoke, which deletes its key, or after it, and is rejected.
async fn keys_never_outlive_a_revoke(mut clients: Clients) {
    const ROUNDS: usize = 60;
    let (mut before, mut after) = (0, 0);
    for round in 0..ROUNDS {
        let id = grant(&mut clients, 0, 600).await.id;
        let (mut putting, mut transacting, mut revoking) =
            (clients.clone(), clients.clone(), clients.clone());
        let key = format!("raced/{round}/single");
        let put = put(&mut putting, &key, id);
        let txn = put_two(&mut transacting, format!("raced/{round}/double"), id);
        // The future that is polled first sends its request first.
        let (put, txn, revoked) = if round % 2 == 0 {
            tokio::join!(biased; put, txn, revoke(&mut revoking, id))
        } else {
            let (revoked, put, txn) = tokio::join!(biased; revoke(&mut revoking, id), put, txn);
            (put, txn, revoked)
        };
        let revoked = revoked.expect("the lease is there");
        for outcome in [put, txn] {
            match outcome {
                Ok(revision) => {
                    before += 1;
                    assert!(revision < revoked, "a put at {revision} after the revoke at {revoked}");
                }
                Err(status) => {
                    after += 1;
                    assert_eq!(status.message(), "etcdserver: requested lease not found");
                    assert_eq!(status.code(), Code::NotFound);
                }
            }
        }
        assert_eq!(rows(&mut clients, "raced/").await, []);
        assert_gone(&mut clients, id).await;
    }
    assert!(before > 0 && after > 0, "{before} puts before the revoke, {after} after it: no race");
}

async fn put_two(clients: &mut Clients, prefix: String, lease: i64) -> Result<i64, tonic::Status> {
    let success = ["a", "b"].map(|name| {
        let key = format!("{prefix}/{name}").into();
        let put = pb::PutRequest { key, lease, ..Default::default() };
        pb::RequestOp { request: Some(Request::RequestPut(put)) }
    });
    let txn = pb::TxnRequest { success: success.into(), ..Default::default() };
    let response = clients.kv.txn(txn).await?.into_inner();
    Ok(response.header.expect("every response has a header").revision)
}

/// Streams that renew the same lease and others do not affect each other, also when they end.
async fn streams_are_independent(mut clients: Clients) {
    const STREAMS: i64 = 10;
    let shared = grant(&mut clients, 0, 600).await.id;
    let mut running = JoinSet::new();
    for index in 0..STREAMS {
        let mut clients = clients.clone();
        running.spawn(async move {
            let own = grant(&mut clients, 0, 700 + index).await.id;
            let mut renewals = Renewals::begin(&mut clients.lease, &[own, shared]).await.expect("it opens");
            for id in [own, shared] {
                let response = renewals.next().await.expect("an response").expect("the stream goes on");
                assert_eq!(response.id, id);
            }
            // Every other stream is dropped during a renewal.
            renewals.send(shared).await;
            if index % 2 == 0 {
                return;
            }
            assert_eq!(renewals.next().await.expect("an response").map(|response| response.ttl), Some(600));
            for _ in 0..50 {
                assert_eq!(renewals.renew(own).await.expect("an response"), 700 + index);
                assert_eq!(renewals.renew(404).await.expect("an response"), 0);
            }
            revoke(&mut clients, own).await.expect("the lease is there");
            assert_eq!(renewals.renew(own).await.expect("an response"), 0);
            renewals.half_close();
            assert_eq!(renewals.next().await.expect("no error"), None);
        });
    }
    running.join_all().await;
    let mut renewals = Renewals::begin(&mut clients.lease, &[shared]).await.expect("it opens");
    assert_eq!(renewals.next().await.expect("an response").map(|response| response.ttl), Some(600));
}
