//! Every member serves every rpc.

use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Observer, Program, Renewals, WatchStream, on_every_program};
use tonic::Code;

use super::support::{assert_rejected, get, put};

/// All members serve a write through one member at once, and headers name the responding member.
async fn keys<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(3)).await;
    let mut last = 1;
    for writer in 0..3 {
        let (key, value) = (format!("key{writer}"), format!("value{writer}"));
        let revision = put(&cluster.clients(writer), &key, &value).await.expect("every member takes puts");
        assert_eq!(revision, last + 1);
        last = revision;
        for reader in 0..3 {
            let found = get(&cluster.clients(reader), &key, false).await.expect("every member takes reads");
            assert_eq!(found.as_ref(), Some(&value), "through m{reader}");
        }
    }
    let mut of_cluster = Vec::new();
    for number in 0..3 {
        let range = pb::RangeRequest { key: "key0".into(), ..Default::default() };
        let response = cluster.clients(number).kv.range(range).await.expect("every member takes reads");
        let header = response.into_inner().header.expect("every response has a header");
        assert_eq!((header.member_id, header.revision), (cluster.id(number), last));
        of_cluster.push((header.cluster_id, header.raft_term));
    }
    assert!(of_cluster.iter().all(|found| *found == of_cluster[0]), "{of_cluster:?}");
    let follower = cluster.follower().await;
    let delete = pb::DeleteRangeRequest { key: "key".into(), range_end: "kez".into(), ..Default::default() };
    let deleted = cluster.clients(follower).kv.delete_range(delete).await.expect("followers take deletes");
    assert_eq!(deleted.into_inner().deleted, 3);
    let compaction = pb::CompactionRequest { revision: last, physical: true };
    let compacted = cluster.clients(follower).kv.compact(compaction).await;
    compacted.expect("followers take compactions");
    let old = pb::RangeRequest { key: "key0".into(), revision: 2, ..Default::default() };
    let text = "etcdserver: mvcc: required revision has been compacted";
    for number in 0..3 {
        assert_rejected(cluster.clients(number).kv.range(old.clone()).await, Code::OutOfRange, text);
    }
    cluster.assert_equal().await;
}

/// Watches through every member deliver each event once and in order, also past ones.
async fn watches<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(3)).await;
    put(&cluster.clients(0), "w/0", "before").await.expect("every member takes puts");
    let mut streams = Vec::new();
    for number in 0..3 {
        let mut stream = WatchStream::open(&cluster.clients(number));
        let create = pb::WatchCreateRequest {
            key: "w/".into(),
            range_end: "w0".into(),
            start_revision: 1,
            ..Default::default()
        };
        stream.created(create).await;
        streams.push(stream);
    }
    for index in 1..20 {
        let through = cluster.clients(index % 3);
        put(&through, &format!("w/{index}"), "then").await.expect("every member takes puts");
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        let responses = stream.until_events(20).await;
        let events = responses.iter().flat_map(|response| &response.events);
        let revisions: Vec<_> = events.map(|event| event.row.mod_revision).collect();
        assert_eq!(revisions, (2..22).collect::<Vec<_>>(), "through m{number}");
    }
    cluster.assert_equal().await;
}

/// Leases can be kept and revoked through any member, and through another one after the leader's death.
async fn leases<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let mut clients = cluster.clients(follower);
    let grant = pb::LeaseGrantRequest { id: 7, ttl: 60 };
    let granted = clients.lease.lease_grant(grant).await.expect("followers grant").into_inner();
    assert_eq!((granted.id, granted.ttl), (7, 60));
    let row = pb::PutRequest { key: "leased".into(), value: "v".into(), lease: 7, ..Default::default() };
    clients.kv.put(row).await.expect("followers take puts");
    for number in 0..3 {
        let mut lease = cluster.clients(number).lease;
        let mut renewals = Renewals::begin(&mut lease, &[7]).await.expect("every member renews");
        let response = renewals.next().await.expect("every member renews").expect("the stream goes on");
        assert_eq!((response.id, response.ttl), (7, 60), "through m{number}");
        assert_eq!(renewals.renew(8).await.expect("a lease that is not there is no error"), 0);
        let request = pb::LeaseTimeToLiveRequest { id: 7, keys: true };
        let response = lease.lease_time_to_live(request).await.expect("every member knows").into_inner();
        assert_eq!(
            (response.granted_ttl, &*response.keys),
            (60, &["leased".into()][..]),
            "through m{number}"
        );
        assert!((50..=60).contains(&response.ttl), "{response:?}");
        let listed = lease.lease_leases(pb::LeaseLeasesRequest {}).await.expect("every member lists");
        assert_eq!(listed.into_inner().leases.len(), 1);
    }

    // A follower shows the end of a lease.
    let mut observer = Observer::begin(&clients, "short/", 0).await;
    let begun = Instant::now();
    clients.lease.lease_grant(pb::LeaseGrantRequest { id: 9, ttl: 2 }).await.expect("followers grant");
    let row = pb::PutRequest { key: "short/1".into(), value: "v".into(), lease: 9, ..Default::default() };
    clients.kv.put(row).await.expect("followers take puts");
    let put = observer.next().await.expect("the watch goes on");
    assert!(!put[0].is_delete);
    let end =
        tokio::time::timeout(DEADLINE, observer.next()).await.expect("it ends").expect("the watch goes on");
    assert!(end[0].is_delete);
    assert!(begun.elapsed() >= Duration::from_secs(2), "it ended after {:?}", begun.elapsed());

    // The new leader starts the full TTL again, and any member renews the lease.
    cluster.kill9(leader).await;
    let new = cluster.leader().await;
    for number in cluster.running() {
        let left = until("the lease can be renewed", DEADLINE, async || {
            let mut lease = cluster.clients(number).lease;
            let mut renewals = Renewals::begin(&mut lease, &[7]).await.map_err(|error| error.to_string())?;
            let response = renewals.next().await.map_err(|error| error.to_string())?;
            Ok(response.ok_or("the stream has ended")?.ttl)
        })
        .await;
        assert_eq!(left, 60, "through m{number}, m{new} leads");
    }
    let revoked = cluster.clients(follower).lease.lease_revoke(pb::LeaseRevokeRequest { id: 7 }).await;
    revoked.expect("followers revoke");
    for number in cluster.running() {
        let found = get(&cluster.clients(number), "leased", false).await.expect("every member takes reads");
        assert_eq!(found, None, "through m{number}");
    }
    cluster.restart(leader).await;
    cluster.assert_equal().await;
}

on_every_program! {
    every_member_serves_keys => keys(),
    every_member_serves_watches => watches(),
    every_member_serves_leases => leases(),
}
