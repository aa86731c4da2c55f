//! A member that is too far behind for the log: it gets a snapshot, and nothing else happens meanwhile.

use ferretcd_base::MemberId;
use ferretcd_raft_node::{
    Applied, ConfChangeKind, Core, Error, Event, Message, Payload, Persist, Progress, Role,
};
use ferretcd_wal::SnapshotMark;

use crate::harness::{ELECTION_TICKS, Member, cluster, config, deliver, deliver_one};

/// Three members of which the third was away so long that the leader has dropped the entries it needs. With the message
/// that announces the snapshot.
fn one_far_behind() -> (Vec<Member>, Message) {
    let mut members = cluster(3);
    let away = members.pop().unwrap();
    for member in &mut members {
        member.config.catchup_entries = 3;
        let n_applied = member.applied.len();
        member.restart(n_applied);
    }
    while members[0].status().role != Role::Leader {
        members[0].tick(1);
        deliver(&mut members);
    }
    for token in 0..10 {
        members[0].propose(token, "x");
        deliver(&mut members);
    }
    members.push(away);
    members[2].holds_installs = true;
    let snapshot = loop {
        members[0].tick(1);
        let messages: Vec<_> =
            members.iter_mut().flat_map(|member| std::mem::take(&mut member.sent)).collect();
        let mut found = None;
        for message in messages {
            match message.is_snapshot() {
                true => found = Some(message),
                false => deliver_one(&mut members, message),
            }
        }
        members.iter_mut().for_each(Member::flush);
        if let Some(found) = found {
            break found;
        }
    };
    members[2].sent.clear();
    (members, snapshot)
}

/// The same while the snapshot is being installed: the log durably begins behind it.
fn one_installing() -> Vec<Member> {
    let (mut members, snapshot) = one_far_behind();
    deliver_one(&mut members, snapshot);
    members[2].flush();
    assert!(members[2].install.is_some());
    members
}

#[test]
fn a_snapshot_replaces_a_log_that_is_gone() {
    let (mut members, snapshot) = one_far_behind();
    let mark = snapshot.snapshot_mark().unwrap();
    assert_eq!((snapshot.to(), mark.index), (MemberId(3), members[0].status().applied));
    assert_eq!(mark.conf_state.unwrap().voters, [1, 2, 3]);
    deliver_one(&mut members, snapshot);
    let present = members[0].mark();
    let [Persist { mark: Some(mark), entries, hard_state: Some(hard_state), must_sync: true, .. }] =
        &members[2].disk.queue[..]
    else {
        panic!("{:?}", members[2].disk.queue)
    };
    assert_eq!((mark, entries.len(), hard_state.commit), (&present, 0, present.index));
    assert!(members[2].install.is_none(), "the log comes first");
    assert_eq!(members[2].sent_kinds(), [""; 0]);
    members[2].flush();
    assert_eq!(members[2].install, Some(present));
    assert_eq!(members[2].sent_kinds(), [""; 0], "it is acknowledged when it is in place");
    members[2].install();
    assert_eq!(members[2].sent_kinds(), ["MsgAppResp"]);

    members[0].propose(20, "behind the state");
    deliver(&mut members);
    members[0].tick(1);
    deliver(&mut members);
    assert_eq!(members[2].applied, members[0].applied);
    assert_eq!(members[2].data().last().unwrap(), "behind the state");
}

/// Every event that would make the raft library look for missing entries.
#[test]
fn nothing_moves_until_a_snapshot_is_installed() {
    let mut members = one_installing();
    let term = members[2].status().term;
    members[2].tick(5 * ELECTION_TICKS);
    members[0].tick(1);
    members[0].propose(30, "y");
    members[1].tick(3 * ELECTION_TICKS);
    for message in members.iter_mut().flat_map(|member| std::mem::take(&mut member.sent)).collect::<Vec<_>>()
    {
        members[2].handle(Event::Message(message));
    }
    members[2].propose(31, "z");
    members[2].change(32, ConfChangeKind::AddNode, 4);
    members[2].read(33);
    members[2].handle(Event::TransferLeader(MemberId(3)));
    members[2].handle(Event::Applied(1000));
    members[2].handle(Event::Installed(1));
    members[2].flush();
    assert_eq!(members[2].dropped, [31, 32]);
    assert_eq!((members[2].sent_kinds(), members[2].reads.len()), (vec![], 0));
    assert_eq!((members[2].status().term, members[2].status().role), (term, Role::Follower));

    members[2].install();
    for _ in 0..3 * ELECTION_TICKS {
        members[0].tick(1);
        deliver(&mut members);
    }
    members[2].read(34);
    deliver(&mut members);
    assert_eq!((members[2].applied == members[0].applied, members[2].reads.len()), (true, 1));
}

#[test]
fn a_crash_at_any_step_loses_the_snapshot_or_nothing() {
    // Before the log begins behind it, in the middle, after it.
    for (n_steps, n_entries) in [(0, 0), (0, 1), (1, 0)] {
        let (mut members, snapshot) = one_far_behind();
        let n_applied = members[2].applied.len();
        deliver_one(&mut members, snapshot);
        let arrived = members[2].arrived.clone().unwrap();
        members[2].disk.crash(n_steps, n_entries);
        if members[2].disk.mark.index > 0 {
            // A start installs the snapshot that the log begins behind.
            let mark = members[2].disk.mark.clone();
            let rejected = Core::new(config(3), members[2].disk.recovered(), &members[2].state(), 1);
            assert!(matches!(rejected, Err(Error::AppliedBeforeLog { .. })), "{rejected:?}");
            members[2].restart_from(arrived, mark);
        } else {
            assert_eq!((n_steps, n_entries), (0, 0));
            members[2].restart(n_applied);
        }
        members[2].holds_installs = false;
        for _ in 0..3 * ELECTION_TICKS {
            members[0].tick(1);
            deliver(&mut members);
        }
        assert_eq!(members[2].applied, members[0].applied, "{n_steps} {n_entries}");
    }
}

#[test]
fn a_decision_from_before_a_snapshot_has_no_effect_after_it() {
    let (mut members, snapshot) = one_far_behind();
    // A change is undecided when the snapshot comes that contains what follows it.
    let mut core = Core::new(config(3), members[2].disk.recovered(), &Applied::default(), 1).unwrap();
    let given = core.take_effects().committed;
    assert!(matches!(given[..], [ref first] if matches!(first.payload, Payload::ConfChange { .. })));
    let mark = members[0].mark();
    core.handle(Event::Message(snapshot.with_snapshot_mark(&mark)));
    let number = core.take_effects().persist.pop().unwrap().number;
    core.handle(Event::Persisted(number));
    assert_eq!(core.take_effects().install, Some(mark.clone()));
    let Payload::ConfChange { change } = given[0].payload.clone() else { panic!() };
    core.handle(Event::Configure { index: 1, change: Some(change.clone()) });
    core.handle(Event::Installed(mark.index));
    core.handle(Event::Configure { index: 1, change: Some(change) });
    core.handle(Event::Applied(1));
    let effects = core.take_effects();
    assert_eq!((effects.committed, core.status().applied), (vec![], mark.index));
    assert!(core.status().is_voter);
    members.clear();
}

#[test]
fn a_snapshot_that_is_not_newer_is_only_acknowledged() {
    let (mut members, snapshot) = one_far_behind();
    let old = SnapshotMark { index: 2, term: 1, ..members[0].mark() };
    members[2].handle(Event::Message(snapshot.clone().with_snapshot_mark(&old)));
    members[2].flush();
    assert_eq!((members[2].sent_kinds(), &members[2].install), (vec!["MsgAppResp"], &None));
    // Neither does one that contradicts what is committed, or that has no place for this member, replace anything.
    let committed = members[2].status().committed;
    members[2].sent.clear();
    let contradiction = SnapshotMark { index: committed, term: 9, ..members[0].mark() };
    members[2].handle(Event::Message(snapshot.clone().with_snapshot_mark(&contradiction)));
    let mut foreign = members[0].mark();
    foreign.conf_state.as_mut().unwrap().voters = vec![1, 2];
    members[2].handle(Event::Message(snapshot.with_snapshot_mark(&foreign)));
    members[2].flush();
    assert_eq!(members[2].install, None);
}

#[test]
fn a_leader_waits_for_a_snapshot_to_arrive_and_sends_another_if_it_does_not() {
    let (mut members, snapshot) = one_far_behind();
    members[0].tick(1);
    members[0].sent.clear();
    members[0].propose(20, "x");
    assert!(
        members[0].sent.iter().all(|message| message.to() != MemberId(3)),
        "{:?}",
        members[0].sent_kinds()
    );
    // The transport could not deliver it.
    members[0].handle(Event::SnapshotSent { to: MemberId(3), ok: false });
    drop(snapshot);
    members[0].sent.clear();
    members[2].holds_installs = false;
    for _ in 0..5 {
        members[0].tick(1);
        deliver(&mut members);
    }
    assert_eq!(members[2].applied, members[0].applied);
}

#[test]
fn a_leader_knows_the_progress_of_every_member() {
    let (members, _) = one_far_behind();
    let last = members[0].status().committed;
    let matched = |id, matched, next, needs_snapshot| Progress {
        id: MemberId(id),
        matched,
        next,
        is_probed: false,
        is_recently_active: true,
        needs_snapshot,
        is_learner: false,
    };
    let mut progress = members[0].core.progress();
    progress.sort_unstable_by_key(|progress| progress.id);
    // What comes behind the snapshot is the library's affair.
    let behind = progress[2].next;
    let expected =
        [matched(1, last, last + 1, false), matched(2, last, last + 1, false), matched(3, 0, behind, true)];
    assert_eq!(progress, expected);
    assert_eq!(members[1].core.progress(), []);
}

#[test]
fn the_log_in_memory_stays_short_while_a_member_is_away() {
    let (mut members, _) = one_far_behind();
    members[2].sent.clear();
    for token in 100..400 {
        members[0].propose(token, "x");
        for message in std::mem::take(&mut members[0].sent) {
            if message.to() == MemberId(2) {
                members[1].handle(Event::Message(message));
            }
        }
        members.iter_mut().for_each(Member::flush);
        for message in std::mem::take(&mut members[1].sent) {
            members[0].handle(Event::Message(message));
        }
        assert!(members[0].core.n_kept() < 20, "{}", members[0].core.n_kept());
    }
}
