//! Leases over restarts of the server.

use std::time::{Duration, Instant};

use ferretcd_tests::{Clients, Killable, Observer, Renewals};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic::Code;

use super::{DEADLINE, Granted, LATE, connect, grant, left, put, rows, start};

const TTL: i64 = 2;

/// After a stop and after a kill, on two servers at the same time, because the cases mostly wait.
pub(crate) async fn kept_over_a_restart<C: Killable>() {
    tokio::join!(kept_over::<C>(false), kept_over::<C>(true));
}

/// One client goes on renewing its lease, which lives on. The lease of a client that is gone starts its TTL again and
/// expires.
async fn kept_over<C: Killable>(kill: bool) {
    let Some((mut cluster, mut clients)) = start::<C>("leases over a restart").await else { return };
    let mut kept = grant(&mut clients, 0, TTL).await;
    let left_alone = grant(&mut clients, 0, TTL).await;
    put(&mut clients, "over/kept", kept.id).await.expect("the lease is there");
    let revision = put(&mut clients, "over/left alone", left_alone.id).await.expect("the lease is there");
    kept = renew_for(&mut clients, kept, Duration::from_millis(500)).await;

    if kill {
        cluster.kill9().await.expect("the server can be killed");
    } else {
        stop(&mut cluster, &mut clients, kept.id).await;
    }
    let down = Instant::now();
    cluster.restart().await.unwrap_or_else(|error| panic!("failed to {error}"));
    let ready = Instant::now();
    let mut clients = connect(&cluster).await;
    assert_eq!(left(&mut clients, left_alone.id).await.1, TTL);
    let mut observer = Observer::begin(&clients, "over/left", revision + 1).await;
    let mut renewing = clients.clone();
    let (seen, _) = tokio::join!(
        async {
            let ended =
                timeout(DEADLINE, observer.next()).await.expect("the lease ends").expect("the watch goes on");
            assert_eq!((&ended[0].row.key[..], ended.len()), (&b"over/left alone"[..], 1));
            Instant::now()
        },
        renew_for(&mut renewing, kept, Duration::from_secs(TTL.cast_unsigned() + 2)),
    );
    // The server does not store how much of the TTL had passed. A new leader adds up to an election timeout.
    let again = Granted { sent: down, received: ready + Duration::from_secs(1), ..left_alone };
    assert!(again.late(seen) < 2 * LATE, "{:?} too late", again.late(seen));
    let there: Vec<_> =
        rows(&mut clients, "over/").await.into_iter().map(|row| (row.key, row.lease)).collect();
    assert_eq!(there, [("over/kept".into(), kept.id)]);
}

/// An open stream doesn't delay the stop of ferretcd. etcd 3.7 waits 7 s for it.
async fn stop<C: Killable>(cluster: &mut C, clients: &mut Clients, lease: i64) {
    let mut renewals = Renewals::begin(&mut clients.lease, &[lease]).await.expect("the stream opens");
    renewals.next().await.expect("an response").expect("the stream goes on");
    if C::KIND.reference {
        drop(renewals);
        return cluster.stop().await.expect("the server can be stopped");
    }
    let before = Instant::now();
    cluster.stop().await.expect("the server can be stopped");
    assert!(before.elapsed() < Duration::from_secs(3), "it took {:?}", before.elapsed());
    let ended = renewals.next().await.expect_err("the server ended the stream");
    assert_eq!(ended.code(), Code::Unavailable, "{ended:?}");
}

/// Renews a lease several times a second for this long.
async fn renew_for(clients: &mut Clients, mut lease: Granted, time: Duration) -> Granted {
    let until = Instant::now() + time;
    let mut pace = interval(Duration::from_millis(200));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewals = Renewals::begin(&mut clients.lease, &[lease.id]).await.expect("the stream opens");
    let first = renewals.next().await.expect("an response").expect("the stream goes on");
    assert_eq!(first.ttl, TTL, "the lease is there");
    while Instant::now() < until {
        pace.tick().await;
        let sent = Instant::now();
        assert_eq!(renewals.renew(lease.id).await.expect("an response"), TTL, "the lease is there");
        lease = lease.renewed(sent);
    }
    lease
}
