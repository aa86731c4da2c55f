//! The rules that keep an asynchronous log safe, each in the smallest cluster that shows it.

use bytes::Bytes;
use ferretcd_base::MemberId;
use ferretcd_raft_node::{
    Applied, Committed, ConfChange, ConfChangeKind, Core, Error, Event, Payload, Persist, Proposal,
    ReadToken, Role,
};
use ferretcd_wal::{ConfState, Entry, EntryKind, HardState, Recovered, SnapshotMark};

use crate::harness::{Disk, ELECTION_TICKS, Member, add_voter, cluster, config, deliver, elect};

/// A sole voter that leads and has applied everything, and its learner with id 2.
fn voter_and_learner() -> Vec<Member> {
    let mut members = cluster(1);
    members.push(Member::start(config(2), Disk::default()));
    members[0].change(1, ConfChangeKind::AddLearnerNode, 2);
    members[0].tick(1);
    deliver(&mut members);
    assert!(members[1].status().is_learner);
    assert_eq!(members[1].applied, members[0].applied);
    members
}

#[test]
fn a_sole_voter_commits_only_what_it_has_synced() {
    let mut member = Member::start(config(1), Disk::bootstrapped(&[1]));
    assert_eq!(member.status().role, Role::Leader, "the first election does not wait for the time-out");
    member.propose(1, "a");
    assert_eq!(member.data(), [""; 0]);
    member.flush();
    assert_eq!(member.data(), ["a"]);
    assert_eq!(member.conf_state().voters, [1]);
}

#[test]
fn an_unsynced_term_of_a_sole_voter_is_sent_to_no_member() {
    let mut members = voter_and_learner();
    let n_applied = members[0].applied.len();
    members[0].disk.crash(0, 0);
    members[0].restart(n_applied);
    let term = members[0].status().term;
    members[0].propose(1, "lost");
    members[0].tick(2);
    assert_eq!(members[0].status().role, Role::Leader);
    assert_eq!(members[0].sent_kinds(), [""; 0], "nothing of the unsynced term leaves");

    members[0].disk.crash(0, 0);
    members[0].restart(n_applied);
    assert_eq!(members[0].status().term, term, "the term is won a second time");
    members[0].propose(2, "kept");
    deliver(&mut members);
    members[0].tick(1);
    deliver(&mut members);
    assert_eq!(members[1].data(), ["kept"]);
    assert_eq!(members[1].applied, members[0].applied);
}

#[test]
fn a_repeated_append_is_not_acknowledged_before_the_first_is_synced() {
    let mut members = cluster(2);
    members[0].propose(1, "a");
    let append = members[0].sent.pop().expect("the leader sends before its own sync");
    assert_eq!(append.kind(), "MsgApp");
    members[1].handle(Event::Message(append.clone()));
    members[1].handle(Event::Message(append));
    assert_eq!(members[1].disk.queue.len(), 1, "the repetition writes nothing");
    assert_eq!(members[1].sent_kinds(), [""; 0]);
    members[1].flush();
    assert_eq!(members[1].sent_kinds(), ["MsgAppResp"; 2]);
}

#[test]
fn a_vote_leaves_when_it_is_synced() {
    let mut members = cluster(3);
    members[1].handle(Event::TransferLeader(MemberId(2)));
    let (transfer, others) = members.split_first_mut().unwrap();
    transfer.handle(Event::Message(others[0].sent.remove(0)));
    let timeout_now = transfer.sent.pop().unwrap();
    assert_eq!(timeout_now.kind(), "MsgTimeoutNow");
    others[0].handle(Event::Message(timeout_now));
    assert_eq!(others[0].sent_kinds(), [""; 0], "a candidate's own vote comes first");
    others[0].flush();
    assert_eq!(others[0].sent_kinds(), ["MsgVote"; 2]);

    let request = others[0].sent.pop().unwrap();
    assert_eq!(request.to(), MemberId(3));
    others[1].handle(Event::Message(request));
    assert_eq!(others[1].sent_kinds(), [""; 0]);
    others[1].flush();
    assert_eq!(others[1].sent_kinds(), ["MsgVoteResp"]);
}

#[test]
fn a_heartbeat_gets_a_response_while_the_disk_is_busy() {
    let mut members = cluster(2);
    members[0].propose(1, "a");
    members[0].tick(1);
    for message in std::mem::take(&mut members[0].sent) {
        members[1].handle(Event::Message(message));
    }
    assert_eq!(members[1].sent_kinds(), ["MsgHeartbeatResp"]);
}

#[test]
fn a_sole_voter_with_an_unsynced_tail_waits_with_its_election() {
    let mut members = cluster(2);
    members[0].change(1, ConfChangeKind::RemoveNode, 1);
    members[0].propose(2, "tail");
    let mut appends = std::mem::take(&mut members[0].sent).into_iter().map(Event::Message);
    // The removal is on both disks; the entry behind it reaches the follower's queue only.
    members[1].handle(appends.next().unwrap());
    members[1].flush();
    let acknowledgement = members[1].sent.pop().unwrap();
    members[0].handle(Event::Message(acknowledgement));
    members[0].flush();
    members[1].handle(appends.next().unwrap());
    for commit in std::mem::take(&mut members[0].sent) {
        members[1].handle(Event::Message(commit));
    }
    assert_eq!(members[1].conf_state().voters, [2]);
    assert!(!members[1].disk.queue.is_empty());

    // The library would assert that its log is durable.
    members[1].tick(3 * ELECTION_TICKS);
    assert_eq!(members[1].status().role, Role::Follower);
    members[1].flush();
    members[1].tick(2 * ELECTION_TICKS);
    members[1].flush();
    assert_eq!(members[1].status().role, Role::Leader);
    assert_eq!(members[1].data(), ["tail"]);
}

#[test]
fn a_removed_leader_sends_nothing() {
    let mut members = cluster(3);
    members[0].change(1, ConfChangeKind::RemoveNode, 1);
    members[0].propose(2, "after the removal");
    deliver(&mut members);
    let removal = members[0].applied.last().unwrap();
    assert!(matches!(&removal.payload, Payload::ConfChange { .. }), "{removal:?}");
    assert_eq!(members[0].conf_state().voters, [2, 3]);
    assert!(!members[0].status().is_voter);

    // Everything that would make the library panic.
    members[0].tick(3 * ELECTION_TICKS);
    members[0].propose(3, "x");
    members[0].change(4, ConfChangeKind::AddNode, 4);
    members[0].read(5);
    members[0].flush();
    assert_eq!(members[0].dropped, [3, 4]);
    assert_eq!(members[0].sent_kinds(), [""; 0]);

    elect(&mut members[1..]);
    let leader = members.iter_mut().find(|member| member.status().role == Role::Leader).unwrap();
    leader.propose(6, "others go on");
    deliver(&mut members);
    assert_eq!(members[1].data(), ["after the removal", "others go on"]);
    assert_eq!(members[0].data(), [""; 0]);
}

#[test]
fn without_a_leader_everything_but_changes_waits() {
    let mut members: Vec<_> =
        (1..=3).map(|id| Member::start(config(id), Disk::bootstrapped(&[1, 2, 3]))).collect();
    members[1].propose(1, "a");
    members[1].propose(2, "b");
    members[1].change(3, ConfChangeKind::AddNode, 4);
    members[1].read(4);
    assert_eq!((&members[1].dropped, members[1].reads.len()), (&vec![3], 0));

    elect(&mut members);
    assert_eq!(members[1].data(), ["a", "b"]);
    assert_eq!(members[1].reads.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [ReadToken(4)]);
    assert_eq!(members[1].dropped, [3]);
}

#[test]
fn without_a_leader_for_long_proposals_come_back() {
    let mut member = Member::start(config(1), Disk::bootstrapped(&[1, 2, 3]));
    member.propose(1, "a");
    member.tick(5 * ELECTION_TICKS);
    assert_eq!(member.dropped, []);
    member.tick(1);
    assert_eq!(member.dropped, [1]);
}

#[test]
fn one_configuration_change_at_a_time() {
    let mut member = Member::start(config(1), Disk::bootstrapped(&[1]));
    member.flush();
    member.change(1, ConfChangeKind::AddLearnerNode, 2);
    member.change(2, ConfChangeKind::AddLearnerNode, 3);
    assert_eq!(member.dropped, [2]);
    member.flush();
    member.change(3, ConfChangeKind::AddLearnerNode, 3);
    member.flush();
    assert_eq!(member.dropped, [2]);
    assert_eq!(
        member.conf_state(),
        ConfState { voters: vec![1], learners: vec![2, 3], ..ConfState::default() }
    );
}

#[test]
fn an_update_changes_no_quorum_and_keeps_its_bytes() {
    let mut members = voter_and_learner();
    members[0].change(7, ConfChangeKind::UpdateNode, 2);
    deliver(&mut members);
    members[0].tick(1);
    deliver(&mut members);
    for member in &members {
        let Payload::ConfChange { change } = &member.applied.last().unwrap().payload else { panic!() };
        assert_eq!(
            (change.id, change.kind, &change.context[..]),
            (7, ConfChangeKind::UpdateNode, &b"{}"[..])
        );
    }
    assert!(members[1].status().is_learner, "an update does not promote");

    let on_disk = members[1].disk.entries.last().unwrap();
    assert_eq!(on_disk.kind, EntryKind::ConfChange);
    assert_eq!(
        on_disk.data,
        [0x08, 7, 0x10, 2, 0x18, 2, 0x22, 2, b'{', b'}'][..],
        "the disk has etcd's form"
    );
}

/// Syncs until nothing is left to sync; returns what was handed out.
fn run_alone(core: &mut Core, disk: &mut Disk) -> Vec<Committed> {
    let mut committed = Vec::new();
    loop {
        let effects = core.take_effects();
        assert_eq!(effects.dropped, []);
        committed.extend(effects.committed);
        disk.queue.extend(effects.persist);
        match disk.flush(disk.queue.len()) {
            Some(number) => core.handle(Event::Persisted(number)),
            None => return committed,
        }
    }
}

/// A leader that has handed out the change as the entry behind its first one, and has no decision about it.
fn undecided(kind: ConfChangeKind, node: u64) -> (Core, ConfChange) {
    let mut disk = Disk::bootstrapped(&[1]);
    let mut core = Core::new(config(1), disk.recovered(), &applied(1, &[1], &[]), 1).unwrap();
    let change = ConfChange { id: 7, kind, node: MemberId(node), context: "{}".into() };
    let mut committed = run_alone(&mut core, &mut disk);
    core.handle(Event::Applied(2));
    core.handle(Event::ConfChange { token: 7, change: change.clone() });
    let proposals = (0..3).map(|token| Proposal::new(token, "behind")).collect();
    core.handle(Event::Propose(proposals));
    committed.extend(run_alone(&mut core, &mut disk));
    let kinds: Vec<_> = committed.into_iter().map(|entry| entry.payload).collect();
    assert_eq!(kinds, [Payload::Empty, Payload::ConfChange { change: change.clone() }]);
    (core, change)
}

#[test]
fn entries_behind_a_change_wait_for_the_decision() {
    let (mut core, change) = undecided(ConfChangeKind::AddLearnerNode, 2);
    // However early it is reported as applied, the change is not applied before it is decided.
    core.handle(Event::Applied(3));
    core.handle(Event::ConfChange { token: 8, change: change.clone() });
    assert_eq!(core.take_effects().dropped, [8], "the change before is not in force");
    core.handle(Event::Configure { index: 2, change: None });
    assert!(core.take_effects().committed.is_empty(), "that was about another entry");
    core.handle(Event::Configure { index: 3, change: Some(change.clone()) });
    assert_eq!(core.take_effects().committed.len(), 3);
    core.handle(Event::ConfChange { token: 9, change });
    assert_eq!(core.take_effects().dropped, []);
}

#[test]
fn a_rejected_change_leaves_the_configuration() {
    let (mut core, _) = undecided(ConfChangeKind::RemoveNode, 1);
    core.handle(Event::Configure { index: 3, change: None });
    core.handle(Event::Applied(3));
    assert_eq!((core.take_effects().committed.len(), core.status().is_voter), (3, true));
    assert_eq!(core.status().role, Role::Leader);
}

#[test]
fn an_impossible_change_has_no_effect() {
    let (mut core, change) = undecided(ConfChangeKind::RemoveNode, 1);
    core.handle(Event::Configure { index: 3, change: Some(change) });
    assert_eq!((core.take_effects().committed.len(), core.status().is_voter), (3, true));
}

#[test]
fn a_member_that_applies_slowly_gets_a_bounded_number_of_entries() {
    let mut settings = config(1);
    settings.unapplied_max = 4;
    let hard_state = HardState { term: 1, vote: 0, commit: 20 };
    let disk = Disk { hard_state, entries: entries(1..=20), ..Disk::default() };
    let mut core = Core::new(settings, disk.recovered(), &applied(1, &[1, 2], &[]), 1).unwrap();
    let mut check = |applied, given: &[u64], awaited| {
        core.handle(Event::Applied(applied));
        let indices: Vec<_> =
            core.take_effects().committed.iter().map(|entry| entry.position.index).collect();
        assert_eq!((&indices[..], core.awaited_applied()), (given, awaited));
    };
    check(1, &[2, 3, 4, 5], Some(3));
    check(2, &[6], Some(4));
    check(2, &[], Some(4));
    check(4, &[7, 8], Some(6));
    check(100, &[9, 10, 11, 12], Some(10));
    check(12, &[13, 14, 15, 16], Some(14));
    check(16, &[17, 18, 19, 20], None);
}

#[test]
fn the_last_voter_cannot_be_removed() {
    let mut member = Member::start(config(1), Disk::bootstrapped(&[1]));
    member.flush();
    member.change(1, ConfChangeKind::RemoveNode, 1);
    member.flush();
    member.propose(2, "still here");
    member.flush();
    assert_eq!((member.data(), member.conf_state().voters), (vec!["still here".to_owned()], vec![1]));
}

#[test]
fn a_proposal_for_one_term_is_dropped_in_others() {
    let mut members = cluster(3);
    let term = members[0].status().term;
    let bound = |token| Proposal { only_in_term: Some(term), ..Proposal::new(token, "bound") };
    members[0].handle(Event::Propose(vec![bound(1)]));
    members[1].handle(Event::Propose(vec![bound(2)]));
    assert_eq!((&members[0].dropped, &members[1].dropped), (&vec![], &vec![2]), "followers pass nothing on");
    members[0].handle(Event::TransferLeader(MemberId(2)));
    members[0].handle(Event::Propose(vec![bound(3), Proposal::new(4, "free")]));
    assert_eq!(members[0].dropped, [3]);
    deliver(&mut members);
    members[1].handle(Event::Propose(vec![bound(5)]));
    assert_eq!(members[1].dropped, [2, 5], "it leads in a later term");
    deliver(&mut members);
    assert_eq!(members[2].data(), ["bound", "free"]);
}

#[test]
fn a_transfer_moves_the_leadership_and_pending_proposals() {
    let mut members = cluster(3);
    members[0].handle(Event::TransferLeader(MemberId(2)));
    members[0].propose(1, "a");
    members[2].propose(2, "forwarded");
    members[2].read(3);
    deliver(&mut members);
    assert_eq!(members[1].status().role, Role::Leader);
    assert!(members.iter().all(|member| member.dropped.is_empty()));
    for member in &members {
        let mut data = member.data();
        data.sort();
        assert_eq!(data, ["a", "forwarded"]);
    }
    assert_eq!(members[0].status().leader, MemberId(2));
    assert_eq!(members[0].roles.last().unwrap().leader, MemberId(2), "the change of leader is reported");
}

#[test]
fn a_member_that_lost_its_disk_does_not_go_on() {
    let mut members = cluster(3);
    members[2] = Member::start(config(3), Disk::bootstrapped(&[1, 2, 3]));
    // Its log ends before what it once acknowledged.
    members[2].disk = Disk::default();
    members[2].restart(0);
    members[0].tick(1);
    deliver(&mut members);
    assert!(
        matches!(members[2].failed, Some(Error::LostEntries { commit: 4, last: 0 })),
        "{:?}",
        members[2].failed
    );
}

#[test]
fn a_follower_at_the_border_of_the_kept_log_catches_up() {
    let mut members = cluster(3);
    members[2].sent.clear();
    let lagging = members.pop().unwrap();
    members[0].config.catchup_entries = 3;
    let n_applied = members[0].applied.len();
    members[0].restart(n_applied);
    members[0].tick(2 * ELECTION_TICKS);
    deliver(&mut members);
    for token in 0..2 {
        members[0].propose(token, "x");
        deliver(&mut members);
    }
    members.push(lagging);
    for _ in 0..3 {
        members[0].tick(1);
        deliver(&mut members);
    }
    assert_eq!(members[2].applied, members[0].applied);
}

#[test]
fn a_member_that_applies_nothing_accepts_a_bounded_number_of_bytes() {
    let mut members = cluster(3);
    let data: Bytes = vec![b'x'; 1 << 20].into();
    members[2].holds_applied = true;
    for token in 0..800 {
        members[0].handle(Event::Propose(vec![Proposal::new(token, data.clone())]));
        deliver(&mut members);
    }
    let n_kept = members[2].core.n_kept();
    assert!((500..600).contains(&n_kept), "{n_kept} entries in memory");
    assert_eq!(members[1].applied.len(), members[0].applied.len(), "the others go on");

    members[2].holds_applied = false;
    let n_applied = members[2].applied.len() as u64;
    members[2].handle(Event::Applied(n_applied));
    for _ in 0..3 {
        members[0].tick(1);
        deliver(&mut members);
    }
    assert_eq!(members[2].applied.len(), members[0].applied.len());
}

fn start(hard_state: HardState, start: u64, entries: Vec<Entry>, applied: Applied) -> Result<Core, Error> {
    let snapshot = SnapshotMark { index: start, term: 1, conf_state: None };
    let recovered = Recovered { metadata: Default::default(), snapshot, hard_state, entries };
    Core::new(config(1), recovered, &applied, 1)
}

fn applied(index: u64, voters: &[u64], learners: &[u64]) -> Applied {
    let conf_state = ConfState { voters: voters.into(), learners: learners.into(), ..ConfState::default() };
    Applied { index, conf_state }
}

fn entries(indices: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    indices.map(|index| Entry { term: 1, index, kind: EntryKind::Normal, data: "x".into() }).collect()
}

#[test]
fn a_state_ahead_of_the_commit_record_is_trusted() {
    let mut core =
        start(HardState { term: 1, vote: 0, commit: 1 }, 0, entries(1..=5), applied(3, &[1, 2], &[]))
            .unwrap();
    assert_eq!(core.status().committed, 3);
    assert_eq!(core.take_effects().committed, []);
}

#[test]
fn log_and_state_that_do_not_fit_together_are_rejected() {
    let term_1 = |commit| HardState { term: 1, vote: 0, commit };
    let beyond = start(term_1(5), 0, entries(1..=5), applied(6, &[1], &[]));
    assert!(matches!(beyond, Err(Error::AppliedBeyondLog { applied: 6, last: 5 })), "{beyond:?}");
    let before = start(term_1(5), 4, entries(5..=5), applied(3, &[1], &[]));
    assert!(matches!(before, Err(Error::AppliedBeforeLog { applied: 3, start: 4 })), "{before:?}");
    let commit = start(term_1(6), 0, entries(1..=5), applied(3, &[1], &[]));
    assert!(matches!(commit, Err(Error::CommitBeyondLog { commit: 6, last: 5 })), "{commit:?}");
    let gap = start(term_1(5), 1, entries(3..=5), applied(3, &[1], &[]));
    assert!(matches!(gap, Err(Error::LogGap { expected: 2, found: 3 })), "{gap:?}");

    let mut v2 = entries(1..=5);
    v2[3].kind = EntryKind::ConfChangeV2;
    let v2 = start(term_1(5), 0, v2, applied(3, &[1], &[]));
    assert!(matches!(v2, Err(Error::ConfChange { index: 4 })), "{v2:?}");
    let mut noise = vec![add_voter(1, 1)];
    noise[0].data = "noise".into();
    let noise = start(term_1(1), 0, noise, applied(0, &[], &[]));
    assert!(matches!(noise, Err(Error::ConfChange { index: 1 })), "{noise:?}");
}

#[test]
fn impossible_configurations_are_rejected() {
    let check = |applied: Applied| {
        let result = start(HardState { term: 1, vote: 0, commit: 5 }, 0, entries(1..=5), applied);
        assert!(matches!(result, Err(Error::ConfState { .. })), "{result:?}");
    };
    check(applied(3, &[], &[]));
    check(applied(3, &[0], &[]));
    check(applied(3, &[1, 1], &[]));
    check(applied(3, &[1], &[1]));
    check(applied(0, &[], &[1]));
    let mut joint = applied(3, &[1], &[]);
    joint.conf_state.voters_outgoing = vec![2];
    check(joint);
}

#[test]
fn settings_out_of_range_are_rejected() {
    let mut bad = config(1);
    bad.election_ticks = 1;
    let result = Core::new(bad, Disk::default().recovered(), &Applied::default(), 1);
    assert!(matches!(result, Err(Error::Setting { setting: "election_ticks" })), "{result:?}");
}

#[test]
fn large_batches_travel_in_pieces() {
    let mut members = cluster(2);
    let proposals = || {
        let data: Bytes = vec![b'x'; 600 << 10].into();
        (0..5).map(|token| Proposal::new(token, data.clone())).collect()
    };
    members[1].handle(Event::Propose(proposals()));
    assert_eq!(members[1].sent_kinds(), ["MsgProp"; 5]);
    deliver(&mut members);
    assert_eq!(members[0].data().len(), 5);
    members[0].handle(Event::Propose(proposals()));
    assert_eq!(members[0].sent_kinds(), ["MsgApp"; 5]);
    deliver(&mut members);
    assert_eq!(members[1].data().len(), 10);
}

#[test]
fn a_commit_index_alone_needs_no_sync() {
    let mut member = Member::start(config(1), Disk::bootstrapped(&[1]));
    member.flush();
    member.propose(1, "a");
    let number = member.disk.flush(1).unwrap();
    member.handle(Event::Persisted(number));
    let [Persist { entries, hard_state: Some(hard_state), must_sync: false, .. }] = &member.disk.queue[..]
    else {
        panic!("{:?}", member.disk.queue)
    };
    assert_eq!((entries.len(), hard_state.commit), (0, 3));
}
