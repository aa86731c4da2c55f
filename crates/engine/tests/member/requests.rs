//! Requests beside the key space, and rejected requests.

use ferretcd_api_proto::CLUSTER_VERSION;
use ferretcd_base::MemberId;
use ferretcd_engine::{Config, RequestError};

use crate::support::*;

#[test]
fn publishing_again_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| {
        engine.cluster().publish().await.expect("a second time");
        let members = engine.member().membership();
        let own = members.member(engine.member().id()).expect("it is a member of its own cluster");
        assert_eq!(
            (&own.name[..], &own.client_urls[..]),
            ("default", &["http://localhost:2379".to_owned()][..])
        );
        assert_eq!(members.members().count(), 1);
        assert_eq!(engine.kv().reader().revision(), 1, "that is no matter of the key space");
    });
    member.stop();

    let elsewhere = Config { client_urls: vec!["http://elsewhere:1".to_owned()], ..config(dir.path()) };
    let member = Member::start(elsewhere);
    let members = member.engine.member().membership();
    let own = members.member(member.engine.member().id()).expect("it is a member of its own cluster");
    assert_eq!(own.client_urls, ["http://elsewhere:1"], "each run publishes its own URLs");
    member.stop();
}

#[test]
fn cluster_version_is_decided_and_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    for _ in 0..2 {
        let member = Member::start(config(dir.path()));
        member.run(async |engine| {
            // Each read is a turn for the task that decides it.
            while engine.member().versions().cluster.is_none() {
                tokio::task::yield_now().await;
            }
            assert_eq!(engine.member().versions().cluster.as_deref(), Some(CLUSTER_VERSION));
        });
        member.stop();
    }
}

#[test]
fn too_large_request_is_not_logged() {
    const MAX: usize = 1000;
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(Config { request_bytes_max: MAX, ..config(dir.path()) });
    member.run(async |engine| {
        let before = engine.member().status().committed;
        let rejected = engine.kv().put(&CALLER, put("a", vec![b'v'; MAX])).await;
        assert!(matches!(rejected, Err(RequestError::TooLarge { max: MAX })), "{rejected:?}");
        engine.kv().put(&CALLER, put("a", vec![b'v'; MAX - 100])).await.expect("it has room for its head");
        assert!(
            engine.member().status().committed <= before + 2,
            "this one, and perhaps the cluster's version"
        );
        assert_eq!(engine.kv().reader().revision(), 2);
    });
    member.stop();
}

#[test]
fn sole_voter_keeps_the_leadership() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    let (engine, own) = (&member.engine, member.engine.member().id());
    assert!(engine.member().is_leader() && !engine.member().is_learner());
    assert_eq!(engine.member().status().leader, Some(own));
    member.run(async |engine| engine.cluster().move_leader(&CALLER, own).await).expect("it has it already");
    let unknown = member.run(async |engine| engine.cluster().move_leader(&CALLER, MemberId(own.0 + 1)).await);
    assert!(matches!(unknown, Err(RequestError::BadTransferee(_))), "{unknown:?}");
    member.stop();
}
