//! Members with damaged data on the disk.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Program, on_every_program, on_program, report};
use tonic::Code;

use super::support::{assert_rejected, get, put, put_at_last};

/// A value before and after the damage.
const VALUE: &str = "right";
const DAMAGED: &str = "wrong";

const CHECK: &str = "--corrupt-check-time=1s";
/// The interval of the checks, and how much longer a check may take.
const DETECTED_WITHIN: Duration = Duration::from_secs(1 + 10);
const REFETCH: &str = "--refetch-corrupt-data";
const BEGUN: &str = "this member is corrupt; replacing its data";
const HEALED: &str = "took back the CORRUPT alarm";

/// Changes a value in the state file of a member that is down, unless it is changed already. The file stays valid.
fn damage<P: Program>(cluster: &Members<P>, number: usize) {
    let path = cluster.data_dir(number).join("member").join("state.redb");
    let backend = Backend::open(&path, &ferretcd_backend::Config { cache_bytes: 1 << 20 });
    let backend = backend.unwrap_or_else(|error| panic!("failed to {error}"));
    let rows = backend.view().range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded)).expect("it is whole");
    let mut batch = Batch::default();
    for row in rows {
        let (revision, row) = row.expect("it is whole");
        if row.ends_with(VALUE.as_bytes()) {
            let changed = [&row[..row.len() - VALUE.len()], DAMAGED.as_bytes()].concat();
            batch.put(Bucket::Key, revision, changed);
        }
    }
    backend.commit(&batch).expect("it can be written");
}

/// The members whose CORRUPT alarm is active, as one of them sees it.
async fn corrupt<P: Program>(cluster: &Members<P>, through: usize) -> Result<Vec<u64>, String> {
    let request = pb::AlarmRequest::default();
    let response = cluster.clients(through).maintenance.alarm(request).await;
    let alarms = response.map_err(|status| status.to_string())?.into_inner().alarms;
    let corrupt = alarms.iter().filter(|alarm| alarm.alarm == pb::AlarmType::Corrupt as i32);
    Ok(corrupt.map(|alarm| alarm.member_id).collect())
}

/// Waits until the member has logged a line `times` times.
async fn logged<P: Program>(cluster: &Members<P>, number: usize, line: &str, times: usize) {
    until(&format!("m{number} logs `{line}`"), DEADLINE, async || {
        let count = cluster.logs(number).matches(line).count();
        (count >= times).then_some(()).ok_or_else(|| format!("{count} times"))
    })
    .await;
}

/// Three members with a value, and the number of a follower.
async fn with_a_value<P: Program>(flags: &[&str]) -> (Members<P>, usize) {
    let cluster = Members::start(&Setup::of(3).with(flags)).await;
    let follower = cluster.follower().await;
    for number in 0..200 {
        put_at_last(&cluster.clients(follower), &format!("key{number}"), &"x".repeat(1000)).await;
    }
    put_at_last(&cluster.clients(follower), "damaged", VALUE).await;
    (cluster, follower)
}

/// Asserts that the member has its data again, on disk too, and that no alarm is left.
async fn assert_healed<P: Program>(cluster: &mut Members<P>, number: usize) {
    until("there is no alarm", DEADLINE, async || match corrupt(cluster, number).await? {
        alarms if alarms.is_empty() => Ok(()),
        alarms => Err(format!("{alarms:x?}")),
    })
    .await;
    for through in 0..3 {
        put_at_last(&cluster.clients(through), "after", &format!("through m{through}")).await;
    }
    let read = get(&cluster.clients(number), "damaged", true).await;
    assert_eq!(read.expect("it responses").as_deref(), Some(VALUE));
    cluster.assert_equal().await;
    // The snapshot is in its files, and its log continues it.
    cluster.kill9(number).await;
    cluster.restart(number).await;
    cluster.assert_equal().await;
    let left =
        cluster.data_dir(number).join("member").join("snap").read_dir().expect("something was fetched");
    assert_eq!(left.count(), 0, "nothing is left of what was fetched");
}

/// A damaged member recovers while clients go on writing.
async fn healed_under_load<P: Program>() {
    let (mut cluster, follower) = with_a_value::<P>(&[CHECK, REFETCH]).await;
    let leader = cluster.leader().await;
    cluster.stop(follower).await;
    damage(&cluster, follower);
    let clients = cluster.clients(leader);
    let rejected = Arc::new(AtomicUsize::new(0));
    let load = tokio::spawn({
        let rejected = Arc::clone(&rejected);
        async move {
            loop {
                // Rejected while the alarm is active; each rejected put is still an entry of the log.
                if put(&clients, "load", VALUE).await.is_err() {
                    rejected.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    let begun = Instant::now();
    cluster.restart(follower).await;
    logged(&cluster, follower, BEGUN, 1).await;
    let detected = begun.elapsed();
    logged(&cluster, follower, HEALED, 1).await;
    report::measured(
        "a corrupt member",
        &format!(
            "detected {detected:?} after its start, healed {:?} after it, {} writes rejected",
            begun.elapsed(),
            rejected.load(Ordering::Relaxed)
        ),
    );
    assert!(detected < DETECTED_WITHIN, "{detected:?}");
    load.abort();
    assert_healed(&mut cluster, follower).await;
}

/// A crash at any point delays the recovery, but does not prevent it.
async fn healed_after_crashes<P: Program>() {
    let (mut cluster, follower) = with_a_value::<P>(&[CHECK, REFETCH]).await;
    cluster.stop(follower).await;
    for line in [
        BEGUN,
        "asking a peer for its state",
        "receiving the state of a peer",
        "received the state of a peer",
        "putting a fetched state",
        "put a fetched state in place",
        "the data are those of the peer",
    ] {
        damage(&cluster, follower);
        let times = cluster.logs(follower).matches(line).count() + 1;
        cluster.spawn(follower);
        logged(&cluster, follower, line, times).await;
        cluster.kill9(follower).await;
    }
    cluster.restart(follower).await;
    assert_healed(&mut cluster, follower).await;
}

/// A damaged leader transfers the leadership first.
async fn leader_healed<P: Program>() {
    let (mut cluster, follower) = with_a_value::<P>(&["--corrupt-check-time=3s", REFETCH]).await;
    cluster.stop(follower).await;
    damage(&cluster, follower);
    cluster.restart(follower).await;
    until("the follower leads", DEADLINE, async || {
        let leader = cluster.leader().await;
        if leader == follower || cluster.logs(follower).contains(BEGUN) {
            return Ok(());
        }
        let request = pb::MoveLeaderRequest { target_id: cluster.id(follower) };
        let moved = cluster.clients(leader).maintenance.move_leader(request).await;
        moved.map(drop).map_err(|status| status.to_string())
    })
    .await;
    logged(&cluster, follower, HEALED, 1).await;
    assert_healed(&mut cluster, follower).await;
}

/// Without the flag no data is replaced.
async fn not_recovered_without_the_flag<P: Program>() {
    let (mut cluster, follower) = with_a_value::<P>(&[CHECK]).await;
    cluster.stop(follower).await;
    damage(&cluster, follower);
    cluster.restart(follower).await;
    let id = cluster.id(follower);
    let has_alarm = async || match corrupt(&cluster, follower).await? {
        alarms if alarms == [id] => Ok(()),
        alarms => Err(format!("{alarms:x?}")),
    };
    until("the alarm is raised", DEADLINE, has_alarm).await;
    for through in 0..3 {
        let rejected = put(&cluster.clients(through), "a", "1").await;
        assert_rejected(rejected, Code::DataLoss, "etcdserver: corrupt cluster");
    }
    let read = get(&cluster.clients(follower), "damaged", true).await;
    assert_eq!(read.expect("it responses").as_deref(), Some(DAMAGED));
    assert!(!cluster.logs(follower).contains(BEGUN));
    has_alarm().await.expect("it stays");

    // An alarm from before the restart counts.
    cluster.stop(follower).await;
    cluster.spawn_with(follower, &[REFETCH]);
    cluster.ready(follower).await;
    logged(&cluster, follower, HEALED, 1).await;
    assert_healed(&mut cluster, follower).await;
}

/// The numbers that the newest line with a message has under a name.
fn last_number<P: Program>(cluster: &Members<P>, number: usize, message: &str, name: &str) -> Option<u64> {
    let logs = cluster.logs(number);
    let line = logs.lines().rev().find(|line| line.contains(&format!("\"{message}\"")))?;
    let (_, rest) = line.split_once(&format!("\"{name}\":"))?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Every round logs what it has compared, also if there is nothing to report.
async fn rounds_are_logged<P: Program>() {
    let flags = [
        CHECK,
        "--feature-gates=CompactHashCheck=true,InitialCorruptCheck=true",
        "--compact-hash-check-time=1s",
    ];
    let mut cluster = Members::<P>::start(&Setup::of(3).with(&flags)).await;
    let leader = cluster.leader().await;
    for number in 0..3 {
        logged(&cluster, number, "\"enabled corruption checking\"", 1).await;
    }
    logged(&cluster, leader, "\"finished peer corruption check\"", 2).await;
    until("both peers are checked", DEADLINE, async || {
        match last_number(&cluster, leader, "finished peer corruption check", "number-of-peers-checked") {
            Some(2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // Rounds without a compaction have nothing to compare.
    logged(&cluster, leader, "\"starting compact hash check\"", 2).await;
    logged(&cluster, leader, "\"finished compaction hash check\"", 2).await;
    let hashes =
        || last_number(&cluster, leader, "finished compaction hash check", "number-of-hashes-checked");
    assert_eq!(hashes(), Some(0));

    let revision = put(&cluster.clients(leader), "a", "1").await.expect("every member takes puts");
    let compaction = pb::CompactionRequest { revision, physical: true };
    cluster.clients(leader).kv.compact(compaction).await.expect("the revision is there");
    logged(&cluster, leader, "\"successfully checked hash on whole cluster\"", 1).await;
    let checked = "successfully checked hash on whole cluster";
    assert_eq!(last_number(&cluster, leader, checked, "number-of-peers-checked"), Some(2));

    // The log names a peer that is not there.
    let follower = cluster.follower().await;
    cluster.kill9(follower).await;
    let times = cluster.logs(leader).matches("\"failed hash kv request\"").count();
    logged(&cluster, leader, "\"failed hash kv request\"", times + 1).await;
    until("one peer is checked", DEADLINE, async || {
        match last_number(&cluster, leader, "finished peer corruption check", "number-of-peers-checked") {
            Some(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let revision = put(&cluster.clients(leader), "a", "2").await.expect("two are enough");
    let compaction = pb::CompactionRequest { revision, physical: true };
    cluster.clients(leader).kv.compact(compaction).await.expect("the revision is there");
    let skipped = "\"skipped revision in compaction hash check; was not able to check all peers\"";
    logged(&cluster, leader, "\"Skipped peer's hash\"", 1).await;
    logged(&cluster, leader, skipped, 1).await;

    // A member that has data compares them before it serves.
    let begun = cluster.logs(follower).len();
    cluster.restart(follower).await;
    let logs = cluster.logs(follower)[begun..].to_owned();
    assert!(logs.contains("\"starting initial corruption check\""));
    assert!(logs.contains("\"initial corruption checking passed; no corruption\""));
    assert!(!cluster.logs(leader).contains("ismatch"), "nothing differs");
}

mod rounds {
    use super::{on_every_program, rounds_are_logged};

    on_every_program! {
        rounds_of_corruption_checks_are_logged => rounds_are_logged(),
    }
}

on_program! {
    ferretcd: ferretcd_tests::Ferretcd,
    a_corrupt_member_recovers_under_load => healed_under_load(),
    a_corrupt_member_recovers_after_crashes => healed_after_crashes(),
    a_corrupt_leader_recovers => leader_healed(),
    a_corrupt_member_keeps_its_data_without_the_flag => not_recovered_without_the_flag(),
}
