//! A new cluster of one member, for when a quorum is lost for ever.

use std::collections::BTreeSet;

use bytes::Bytes;
use ferretcd_base::MemberId;
use ferretcd_wal::{Entry, EntryKind, HardState, Recovered, Wal};

use crate::{Applied, ConfChange, ConfChangeKind, Error};

/// Ends a log with the removal of all members but the log's own, committed without a quorum, as etcd's
/// `--force-new-cluster` does. Entries that are not known to be committed go; those of a sole voter are committed,
/// whatever commit index has reached the disk. `recovered` is what the log was opened with, and is brought up to date.
/// Everything is durable on return.
///
/// This breaks raft's promises on purpose: entries that the other members had committed beyond this log are lost, and
/// those members must never run again. If the own member is a learner it is made a voter; `promotion` is then the
/// description of that change.
pub fn force_new_cluster(
    wal: &mut Wal,
    recovered: &mut Recovered,
    applied: &Applied,
    promotion: Bytes,
) -> Result<(), Error> {
    let me = recovered.metadata.node_id;
    let HardState { term, vote, commit } = recovered.hard_state;
    let mut commit = commit.max(applied.index).max(recovered.snapshot.index);
    let mut group = Group::new(applied);
    for entry in recovered.entries.iter().filter(|entry| entry.index > applied.index) {
        if entry.index > commit {
            if !group.voters.iter().eq([&me]) {
                break;
            }
            commit = entry.index;
        }
        group.follow(entry)?;
    }
    recovered.entries.retain(|entry| entry.index <= commit);

    let Group { voters, learners } = group;
    // There must always be a voter, so the promotion comes first.
    let mut changes = Vec::new();
    if !voters.contains(&me) {
        changes.push((ConfChangeKind::AddNode, me, promotion));
    }
    let others = voters.into_iter().chain(learners).filter(|id| *id != me);
    changes.extend(others.map(|id| (ConfChangeKind::RemoveNode, id, Bytes::new())));

    let term = term.max(last_term(recovered)).max(1);
    let entries = changes.into_iter().zip(commit + 1..).map(|((kind, node, context), index)| {
        let change = ConfChange { id: 0, kind, node: MemberId(node), context };
        Entry { term, index, kind: EntryKind::ConfChange, data: change.to_etcd() }
    });
    let entries: Vec<Entry> = entries.collect();
    let commit = commit + entries.len() as u64;
    recovered.hard_state = HardState { term, vote, commit };
    wal.append(&entries, Some(recovered.hard_state))?;
    wal.sync()?;
    recovered.entries.extend(entries);
    Ok(())
}

/// The members of the cluster according to a log.
struct Group {
    voters: BTreeSet<u64>,
    learners: BTreeSet<u64>,
}

impl Group {
    fn new(applied: &Applied) -> Self {
        let set = |members: &[u64]| members.iter().copied().collect();
        Self { voters: set(&applied.conf_state.voters), learners: set(&applied.conf_state.learners) }
    }

    fn follow(&mut self, entry: &Entry) -> Result<(), Error> {
        if entry.kind == EntryKind::Normal {
            return Ok(());
        }
        let change = ConfChange::from_etcd(entry.data.clone());
        let ConfChange { kind, node, .. } = change.map_err(|_| Error::ConfChange { index: entry.index })?;
        match kind {
            ConfChangeKind::AddNode => {
                self.learners.remove(&node.0);
                self.voters.insert(node.0);
            }
            ConfChangeKind::AddLearnerNode => {
                self.learners.insert(node.0);
            }
            ConfChangeKind::RemoveNode => {
                self.voters.remove(&node.0);
                self.learners.remove(&node.0);
            }
            ConfChangeKind::UpdateNode => {}
        }
        Ok(())
    }
}

fn last_term(recovered: &Recovered) -> u64 {
    recovered.entries.last().map_or(recovered.snapshot.term, |entry| entry.term)
}

#[cfg(test)]
mod tests {
    use ferretcd_wal::{ConfState, Config, MemDir, Metadata};

    use super::*;
    use crate::ConfChangeKind::{AddLearnerNode, AddNode, RemoveNode};

    const ME: u64 = 1;
    const CONFIG: Config = Config { segment_bytes: 4096, unsafe_no_fsync: false };

    /// An entry of a log: a write, or a change of the members.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Step {
        Write,
        Change(ConfChangeKind, u64),
    }

    use Step::{Change, Write};

    fn entry(index: u64, step: Step) -> Entry {
        let (kind, data) = match step {
            Write => (EntryKind::Normal, Bytes::from_static(b"x")),
            Change(kind, node) => {
                let change = ConfChange { id: 0, kind, node: MemberId(node), context: Bytes::new() };
                (EntryKind::ConfChange, change.to_etcd())
            }
        };
        Entry { term: 3, index, kind, data }
    }

    fn step(entry: &Entry) -> Step {
        if entry.kind == EntryKind::Normal {
            return Write;
        }
        let change = ConfChange::from_etcd(entry.data.clone()).unwrap();
        Change(change.kind, change.node.0)
    }

    /// A log with these entries, of which the first `commit` are known to be committed.
    fn log(steps: &[Step], commit: u64) -> MemDir {
        let dir = MemDir::new();
        let metadata = Metadata { node_id: ME, cluster_id: 2 };
        let mut log = Wal::create_on(dir.clone(), metadata, CONFIG).unwrap();
        let entries: Vec<_> = steps.iter().zip(1..).map(|(step, index)| entry(index, *step)).collect();
        log.append(&entries, Some(HardState { term: 3, vote: 2, commit })).unwrap();
        log.sync().unwrap();
        dir
    }

    fn force(dir: &MemDir, applied: &Applied) -> Recovered {
        let (mut log, mut recovered) = Wal::open_on(dir.clone(), CONFIG).unwrap();
        force_new_cluster(&mut log, &mut recovered, applied, Bytes::from_static(b"{}")).unwrap();
        recovered
    }

    /// Forces a member of `voters`, whose state is at the beginning, and a second time after a power cut.
    fn check(voters: &[u64], steps: &[Step], commit: u64, expected: &[Step]) {
        let conf_state = ConfState { voters: voters.to_vec(), ..ConfState::default() };
        let applied = Applied { index: 0, conf_state };
        let dir = log(steps, commit);
        let forced = force(&dir, &applied);
        let found: Vec<_> = forced.entries.iter().map(step).collect();
        assert_eq!(found, expected, "{voters:?} with {steps:?}, committed up to {commit}");
        assert_eq!(forced.hard_state.commit, expected.len() as u64, "all of it is committed");

        let dir = dir.crash();
        assert_eq!(Wal::open_on(dir.clone(), CONFIG).unwrap().1, forced, "all of it is durable");
        assert_eq!(force(&dir, &applied), forced, "the second time there is nothing to do");
    }

    #[test]
    fn other_members_and_uncommitted_entries_are_removed() {
        let without = [Change(RemoveNode, 2), Change(RemoveNode, 3)];
        check(&[1, 2, 3], &[Write, Write, Write], 2, &[&[Write, Write][..], &without].concat());
        check(&[1, 2, 3], &[Write, Change(RemoveNode, 3)], 1, &[&[Write][..], &without].concat());
        check(
            &[1, 2],
            &[Change(AddLearnerNode, 3), Write],
            1,
            &[&[Change(AddLearnerNode, 3)][..], &without].concat(),
        );
    }

    #[test]
    fn a_learner_is_promoted_first() {
        let joined = Change(AddLearnerNode, 1);
        check(&[2], &[joined, Write], 1, &[joined, Change(AddNode, 1), Change(RemoveNode, 2)]);
    }

    #[test]
    fn a_sole_voter_keeps_what_it_has_acknowledged() {
        // The commit index is not synced by itself, so it can be older than acknowledged entries.
        check(&[1], &[Write, Write, Write], 1, &[Write, Write, Write]);
        // From here on a quorum needs both voters, and this log does not show whether it had one.
        let added = Change(AddNode, 2);
        check(&[1], &[Write, added, Write], 1, &[Write, added, Change(RemoveNode, 2)]);
        let joined = Change(AddLearnerNode, 2);
        check(&[1], &[Write, joined, Write], 0, &[Write, joined, Write, Change(RemoveNode, 2)]);
    }
}
