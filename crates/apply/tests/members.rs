//! Changes of the members that no correct member would propose, and the versions of the cluster.

use bytes::Bytes;
use ferretcd_api_proto::membershippb::{ClusterVersionSetRequest, DowngradeInfoSetRequest};
use ferretcd_apply::{ApplyError, Command, Config, MemberChange, Request, StateMachine};
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::{LogPosition, MemberId};
use ferretcd_membership::{Change, ChangeError, Member};

const CONFIG: Config = Config {
    mvcc: ferretcd_mvcc::Config { cache_bytes: 1 << 16 },
    lease: ferretcd_lease::Config { ttl_min: 2 },
};

fn described(id: u64, is_learner: bool) -> Bytes {
    let peer_urls = vec![format!("http://m{id}:1")];
    let member = Member { id: MemberId(id), peer_urls, is_learner, ..Member::default() };
    Change::add(member).to_context().into()
}

fn update(id: u64) -> Bytes {
    Change::UpdatePeerUrls(MemberId(id), vec!["http://elsewhere:1".to_owned()]).to_context().into()
}

/// The members are in the list by one id and vote by the other.
#[test]
fn an_entry_is_about_one_member() {
    let mut batch = Batch::default();
    let mut machine = StateMachine::open(Backend::in_memory(), &CONFIG, &mut batch).expect("no rows");
    let mut index = 0;
    let mut apply = |change: MemberChange| {
        index += 1;
        let position = LogPosition::new(index, 1);
        let outcome = machine.apply_members(position, 0, change, &mut batch).expect("a readable entry");
        (outcome.result.map(drop), machine.applied().clone(), machine.membership().clone())
    };
    let mut check = |change: MemberChange, expected: Option<(u64, u64)>| {
        let (result, applied, members) = apply(change.clone());
        let rejected = match result {
            Ok(()) => None,
            Err(ApplyError::Membership(ChangeError::OtherMember { node, described })) => {
                Some((node.0, described.0))
            }
            Err(other) => panic!("{change:?}: {other}"),
        };
        assert_eq!(rejected, expected, "{change:?}");
        (applied, members)
    };
    let add = |node, context| MemberChange::Add { node: MemberId(node), context };
    let promote = |node, id| add(node, Change::Promote(MemberId(id)).to_context().into());

    check(add(1, described(1, false)), None);
    let (before, members) = check(add(2, described(2, true)), None);
    for (change, expected) in [
        (add(3, described(4, false)), (3, 4)),
        (add(1, described(4, false)), (1, 4)),
        (promote(1, 2), (1, 2)),
        (MemberChange::Update { node: MemberId(1), context: update(2) }, (1, 2)),
    ] {
        let (applied, now) = check(change, Some(expected));
        assert_eq!(applied.conf_state, before.conf_state, "it has no effect");
        assert!(now.members().eq(members.members()));
        assert!(applied.position.index > before.position.index, "and is done with");
    }
    check(MemberChange::Update { node: MemberId(2), context: update(2) }, None);
    check(promote(2, 2), None);
}

#[test]
fn storage_version_follows_the_cluster_version() {
    let backend = Backend::in_memory();
    let mut batch = Batch::default();
    let mut machine = StateMachine::open(backend.clone(), &CONFIG, &mut batch).expect("no rows");
    let mut index = 0;
    let mut apply = |request: Request| {
        index += 1;
        let command = Command { id: index, username: String::new(), auth_revision: 0, request };
        let outcome = machine.apply(LogPosition::new(index, 1), command.encode(), &mut batch);
        outcome.expect("a readable entry").result.expect("it is always accepted");
        backend.commit(&std::mem::take(&mut batch)).expect("memory");
        let row = |bucket, key: &str| {
            let row = backend.view().get(bucket, key.as_bytes()).expect("memory");
            row.map(|row| String::from_utf8(row.to_vec()).expect("a text"))
        };
        (row(Bucket::Meta, "storageVersion"), row(Bucket::Cluster, "downgrade"))
    };
    let mut begin = |target: &str| {
        let ver = target.to_owned();
        apply(Request::DowngradeInfoSet(DowngradeInfoSetRequest { enabled: !target.is_empty(), ver }))
    };
    let row = Some(r#"{"target-version":"3.6.0","enabled":true}"#.to_owned());
    assert_eq!(begin("3.6.0"), (None, row));
    assert_eq!(begin(""), (None, Some(r#"{"target-version":"","enabled":false}"#.to_owned())));
    for (cluster, storage) in [
        ("3.0.0", None),
        ("3.7.0", Some("3.7.0")),
        ("3.6.0", Some("3.6.0")),
        ("3.7.0", Some("3.7.0")),
        ("3.6.0", Some("3.6.0")),
        ("3.5.0", None),
    ] {
        let request = ClusterVersionSetRequest { ver: cluster.to_owned() };
        let (found, _) = apply(Request::ClusterVersionSet(request));
        assert_eq!(found.as_deref(), storage, "in a cluster at {cluster}");
    }
}
