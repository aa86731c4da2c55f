//! Why a read that takes two messages is safe while members are removed one after the other: the facts behind
//! `src/read_index.rs`, each in the scenario that needs it.
//!
//! Member 1 leads five and removes 5, then 4. Members 1 and 2 are a quorum of the three that are left, so 1 responds
//! to a read of 2 at once. Member 3 has acknowledged both removals and lives in the configuration of five, where 3, 4
//! and 5 are a quorum without the two. If they elect a leader, the two serve old data.

use ferretcd_raft_node::{ConfChangeKind, Event, ReadToken, Role};

use crate::harness::{ELECTION_TICKS, Member, cluster, deliver, deliver_one};

/// Where the removals of 5 and 4 are in every log.
const REMOVALS: [u64; 2] = [7, 8];

/// What the leader has to send reaches 2 and 3, and their acknowledgements reach the leader. All else is lost.
fn replicate(members: &mut [Member]) {
    let group = &mut members[..3];
    for sender in 0..3 {
        group[sender].flush();
        std::mem::take(&mut group[sender].sent).into_iter().for_each(|message| deliver_one(group, message));
    }
    group[0].sent.clear();
}

/// Five members, of which the first has put both removals into force. The third has begun with `settings`.
fn shrunk(settings: impl FnOnce(&mut Member)) -> Vec<Member> {
    let mut members = cluster(5);
    settings(&mut members[2]);
    for (token, removed) in [(1, 5), (2, 4)] {
        members[0].change(token, ConfChangeKind::RemoveNode, removed);
        assert_eq!(members[0].dropped, []);
        replicate(&mut members);
    }
    assert_eq!(members[0].conf_state().voters, [1, 2, 3]);
    assert_eq!(members[2].disk.entries.last().expect("it has a log").index, REMOVALS[1]);
    members
}

/// Whether member 1 responds to a read of member 2 without any other, and whether 3, 4 and 5 elect a leader without
/// the two.
fn outcome(members: &mut [Member]) -> (bool, bool) {
    let (pair, others) = members.split_at_mut(2);
    for _ in 0..20 * ELECTION_TICKS {
        others.iter_mut().for_each(|member| member.tick(1));
        deliver(others);
    }
    let [leader, follower] = [0, 1].map(|i| pair[i].core.read_index_role());
    let request = follower.read_request(ReadToken(7)).expect("it has a leader");
    let is_served = leader.read_response(&request, pair[0].status().committed).is_some();
    let has_led = |member: &Member| member.roles.iter().any(|status| status.role == Role::Leader);
    (is_served, others.iter().any(has_led))
}

const SERVED: bool = true;
const ELECTED: bool = true;

#[test]
fn a_removal_comes_with_the_news_that_the_one_before_is_committed() {
    let mut members = cluster(5);
    members[0].holds_decisions = true;
    members[0].change(1, ConfChangeKind::RemoveNode, 5);
    replicate(&mut members);
    assert_eq!(members[0].status().committed, REMOVALS[0]);
    members[0].change(2, ConfChangeKind::RemoveNode, 4);
    assert_eq!(members[0].dropped, [2], "the first is committed, but not in force");

    assert_eq!(shrunk(|_| {})[2].disk.hard_state.commit, REMOVALS[0]);
}

#[test]
fn a_member_with_a_committed_removal_that_is_not_in_force_starts_no_election() {
    let mut members = shrunk(|slow| slow.holds_decisions = true);
    assert_eq!(members[2].status().committed, REMOVALS[0]);
    assert_eq!(members[2].conf_state().voters, [1, 2, 3, 4, 5]);
    // However early a member reports it, a change counts as applied when it is in force.
    members[2].handle(Event::Applied(REMOVALS[0]));
    assert_eq!(outcome(&mut members), (SERVED, !ELECTED));
}

#[test]
fn a_removal_is_durable_together_with_the_commit_index_that_came_with_it() {
    let check = |has_commit_index: bool, expected: (bool, bool)| {
        let mut members = shrunk(|_| {});
        let restarted = &mut members[2];
        assert!(restarted.disk.queue.is_empty(), "the acknowledged batch is all that was written");
        if !has_commit_index {
            restarted.disk.hard_state.commit = REMOVALS[0] - 1;
        }
        // The state on disk lags behind the log.
        restarted.restart(REMOVALS[0] as usize - 1);
        assert_eq!(outcome(&mut members), expected, "with the commit index: {has_commit_index}");
    };
    check(true, (SERVED, !ELECTED));
    // This is what a log without that property would come to: a stale read.
    check(false, (SERVED, ELECTED));
}
