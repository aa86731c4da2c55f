//! Many watches and many streams, and their cost for the server.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Clients, Killable, Release, WatchStream, on_every_process, report, resident_bytes};
use tokio::task::JoinSet;

use super::calls::write_many;
use super::server::{connect, connect_narrow, prefix, put, start};

const MIB: u64 = 1 << 20;

/// Asserts a bound on the memory of ferretcd; a real etcd is only measured.
fn assert_memory<C: Killable>(cluster: &C, what: &str, bound: u64) {
    let resident = resident_bytes(cluster).expect("a running process has memory");
    report::measured(&format!("{what} on {}", C::KIND.name), &format!("{} MiB resident", resident / MIB));
    assert!(C::KIND.reference || resident < bound, "{what}: {} MiB", resident / MIB);
}

/// 10 000 watches, half of them on one key and half of them each on a key of its own: each gets its event once.
async fn ten_thousand<C: Killable>() {
    const CONNECTIONS: usize = 4;
    const CALLS: usize = 25;
    const WATCHES: usize = 100;
    let Some(cluster) = start::<C>("10 000 watches", &[]).await else { return };
    let mut opening = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let clients = connect(&cluster).await;
        for call in 0..CALLS {
            let clients = clients.clone();
            let first = (connection * CALLS + call) * WATCHES;
            opening.spawn(async move { (first, opened(&clients, first..first + WATCHES).await) });
        }
    }
    let streams = opening.join_all().await;
    assert_memory(&cluster, "10 000 idle watches", 100 * MIB);

    let mut clients = connect(&cluster).await;
    put(&mut clients, "all", "").await;
    let all = CONNECTIONS * CALLS * WATCHES;
    let own: Vec<_> = (0..all).filter(|number| number % 2 == 1).collect();
    for hundred in own.chunks(100) {
        let puts = hundred.iter().map(|number| pb::RequestOp {
            request: Some(pb::request_op::Request::RequestPut(pb::PutRequest {
                key: key_of(*number),
                ..Default::default()
            })),
        });
        let txn = pb::TxnRequest { success: puts.collect(), ..Default::default() };
        clients.kv.txn(txn).await.expect("transactions succeed");
    }
    let mut reading = JoinSet::new();
    for (first, mut stream) in streams {
        reading.spawn(async move {
            let mut seen = BTreeMap::new();
            for response in stream.until_events(WATCHES).await {
                let [event] = &response.events[..] else { panic!("{response:?} has not one event") };
                let other = seen.insert(response.watch_id, event.row.key.clone());
                assert_eq!(other, None, "watch {} gets its event twice", response.watch_id);
            }
            let expected = (first..first + WATCHES).zip(0..).map(|(number, id)| (id, key_of(number)));
            assert_eq!(seen, expected.collect());
            if C::KIND.release >= Release::V3_7 {
                // No other event has come.
                stream.request_progress().await;
                assert!(stream.response().await.is_progress());
            }
            stream
        });
    }
    let _open = reading.join_all().await;
    assert_memory(&cluster, "10 000 watches with events", 120 * MIB);
}

fn key_of(number: usize) -> Bytes {
    if number.is_multiple_of(2) { Bytes::from_static(b"all") } else { format!("own{number:05}").into() }
}

async fn opened(clients: &Clients, numbers: std::ops::Range<usize>) -> WatchStream {
    let mut stream = WatchStream::open(clients);
    let watches = numbers.len();
    for number in numbers {
        stream.create(pb::WatchCreateRequest { key: key_of(number), ..Default::default() }).await;
    }
    for _ in 0..watches {
        assert!(stream.response().await.created);
    }
    stream
}

/// 1000 streams that stop reading cost little memory and time: the server goes on serving, and other streams get all
/// events. Streams that read again get all events, too.
async fn a_thousand_stuck<C: Killable>() {
    const CONNECTIONS: u32 = 20;
    const CALLS: u32 = 50;
    const PUTS: usize = 2000;
    const VALUE_BYTES: usize = 2048;
    let Some(cluster) = start::<C>("1000 stuck calls", &[]).await else { return };
    let mut opening = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let narrow = connect_narrow(&cluster, CALLS).await;
        opening.spawn(async move {
            let mut calls = Vec::new();
            for number in 0..CALLS {
                let mut call = WatchStream::open(&narrow);
                call.created(pb::WatchCreateRequest { prev_kv: number % 2 == 0, ..prefix("k") }).await;
                calls.push(call);
            }
            calls
        });
    }
    let stuck = opening.join_all().await;
    let clients = connect(&cluster).await;
    let mut normal = WatchStream::open(&connect(&cluster).await);
    normal.created(prefix("k")).await;
    let reading = tokio::spawn(async move { in_order(&mut normal, PUTS).await });

    write_many(&clients, PUTS, VALUE_BYTES).await;
    let range = pb::RangeRequest { key: "k".into(), range_end: "l".into(), ..Default::default() };
    let rows = clients.kv.clone().range(range).await.expect("reads succeed").into_inner();
    assert_eq!(rows.count, 100);
    reading.await.expect("a stream that reads gets all events");
    assert_memory(&cluster, "1000 stuck calls", 200 * MIB);

    let mut again = JoinSet::new();
    for mut calls in stuck {
        again.spawn(async move {
            // With and without previous rows, while the other streams of the connection are still stuck.
            for call in calls.iter_mut().take(2) {
                in_order(call, PUTS).await;
            }
            calls
        });
    }
    drop(again.join_all().await);
}

/// Reads so many events, one per revision from 2 on.
async fn in_order(stream: &mut WatchStream, events: usize) {
    let mut next = 2;
    while next < 2 + i64::try_from(events).expect("few events") {
        for event in stream.response().await.events {
            assert_eq!(event.row.mod_revision, next);
            next += 1;
        }
    }
}

on_every_process! {
    watches => ten_thousand(),
    stuck => a_thousand_stuck(),
}
