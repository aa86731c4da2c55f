//! Reads: from which index one is linearizable.

use std::collections::VecDeque;

use ferretcd_base::MemberId;
use ferretcd_raft_node::{ConfChangeKind, Event, Message, ReadToken, Role};

use crate::harness::{Disk, Member, cluster, config, deliver, deliver_one, elect};

#[test]
fn a_read_waits_for_the_leaders_first_commit() {
    let mut member = Member::start(config(1), Disk::bootstrapped(&[1]));
    member.read(1);
    assert_eq!(member.reads, []);
    member.flush();
    assert_eq!(member.reads, [(ReadToken(1), 2)]);
    member.read(2);
    assert_eq!(member.reads, [(ReadToken(1), 2), (ReadToken(2), 2)]);
}

#[test]
fn a_read_through_a_follower_needs_a_quorum_behind_the_leader() {
    let mut members = cluster(3);
    members[0].propose(1, "a");
    deliver(&mut members);
    members[1].read(7);
    assert_eq!(members[1].sent_kinds(), ["MsgReadIndex"]);
    deliver(&mut members);
    assert_eq!(members[1].reads, [(ReadToken(7), members[0].status().committed)]);

    // A leader that receives no heartbeat response confirms no read.
    members[0].read(8);
    members[0].sent.clear();
    assert_eq!(members[0].reads, []);
}

#[test]
fn a_leader_confirms_a_read_at_once_if_it_and_the_requester_are_a_quorum() {
    let check = |n_members: u64, is_served: bool| {
        let members = cluster(n_members);
        let (leader, follower) = (&members[0].core, &members[1].core);
        assert_eq!(leader.read_index_role().read_request(ReadToken(7)), None, "it leads");
        let request = follower.read_index_role().read_request(ReadToken(7)).expect("it has a leader");
        let committed = leader.status().committed;
        let response = leader.read_index_role().read_response(&request, committed);
        assert_eq!(response.is_some(), is_served, "{n_members} members");
        let read =
            response.and_then(|response| follower.read_index_role().confirmed_read(&response, committed));
        assert_eq!(read, is_served.then_some((ReadToken(7), committed)));
    };
    check(2, true);
    check(3, true);
    check(4, false);
    check(5, false);
}

#[test]
fn learners_are_no_quorum_with_the_leader() {
    let mut members = cluster(2);
    members[0].change(1, ConfChangeKind::AddLearnerNode, 3);
    let learner = Member::start(config(3), Disk::default());
    members.push(learner);
    deliver(&mut members);
    let [leader, follower, learner] = [0, 1, 2].map(|i| members[i].core.read_index_role());
    let response = |request: Option<Message>| leader.read_response(&request.expect("it has a leader"), 9);
    assert!(response(follower.read_request(ReadToken(1))).is_some());
    assert_eq!(response(learner.read_request(ReadToken(2))), None);
}

#[test]
fn a_read_request_of_another_term_gets_no_response_at_once() {
    let mut members = cluster(3);
    let request = members[1].core.read_index_role().read_request(ReadToken(7)).expect("it has a leader");
    for (leader, next) in [(1, 3), (3, 1)] {
        members[leader - 1].handle(Event::TransferLeader(MemberId(next)));
        deliver(&mut members);
    }
    assert_eq!(members[0].status().role, Role::Leader);
    assert_eq!(members[0].core.read_index_role().read_response(&request, 9), None);
    let request = members[1].core.read_index_role().read_request(ReadToken(8)).expect("it has a leader");
    assert!(members[0].core.read_index_role().read_response(&request, 9).is_some());
}

#[test]
fn the_newest_reads_wait_for_a_leader() {
    let mut members: Vec<_> =
        (1..=3).map(|id| Member::start(config(id), Disk::bootstrapped(&[1, 2, 3]))).collect();
    (0..10_000).for_each(|token| members[0].read(token));
    elect(&mut members);
    let reads: Vec<_> = members[0].reads.iter().map(|(token, _)| token.0).collect();
    assert_eq!(reads, (10_000 - reads.len() as u64..10_000).collect::<Vec<_>>());
    assert!((1..=100).contains(&reads.len()), "{} requests flood the leader", reads.len());
}

/// A new leader does not know yet what is committed, and its followers send requests at once.
#[test]
fn forwarded_reads_wait_for_the_leaders_first_commit() {
    let mut members = cluster(3);
    members[0].handle(Event::TransferLeader(MemberId(2)));
    let mut queue = VecDeque::new();
    while members[2].status().leader != MemberId(2) {
        for member in &mut members {
            member.flush();
            queue.extend(std::mem::take(&mut member.sent));
        }
        deliver_one(&mut members, queue.pop_front().expect("members send messages until there is a leader"));
    }
    // Only those that have not been sent yet can confirm the leader's first entry.
    members[2].sent.clear();
    queue.retain(|message| message.to() != MemberId(2));
    members[2].read(7);
    assert_eq!(members[2].sent_kinds(), ["MsgReadIndex"]);
    let request = members[2].sent.pop().expect("it was counted a line ago");
    let request_for_one_answer =
        members[2].core.read_index_role().read_request(ReadToken(8)).expect("it has a leader");
    assert_eq!(members[1].core.read_index_role().read_response(&request_for_one_answer, 9), None);
    deliver_one(&mut members, request);
    assert_eq!(members[2].reads, []);

    members[1].tick(1);
    queue.into_iter().for_each(|message| deliver_one(&mut members, message));
    deliver(&mut members);
    assert_eq!(members[2].reads, [(ReadToken(7), members[1].status().committed)]);
}
