//! The way back when a quorum is lost for ever: one member goes on alone.

use std::collections::BTreeSet;

use base::MemberId;
use bytes::Bytes;
use wal::{Entry, EntryKind, HardState, Recovered, Wal};

use crate::{Applied, ConfChange, ConfChangeKind, Error};

/// Ends a log with the removal of everybody but the log's own member, committed by decree, as etcd's
/// `--force-new-cluster` does. Entries that are not known to be committed go. `recovered` is what the log was opened
/// with, and is brought up to date. Everything is durable on return.
///
/// This breaks raft's promises on purpose: what the others had committed beyond this log is lost, and they must never
/// run again. If the member is a learner it is made a voter; `promotion` is then the description of that change.
pub fn force_new_cluster(
    wal: &mut Wal,
    recovered: &mut Recovered,
    applied: &Applied,
    promotion: Bytes,
) -> Result<(), Error> {
    let me = recovered.metadata.node_id;
    let HardState { term, vote, commit } = recovered.hard_state;
    let commit = commit.max(applied.index).max(recovered.snapshot.index);
    recovered.entries.retain(|entry| entry.index <= commit);

    let mut voters: BTreeSet<u64> = applied.conf_state.voters.iter().copied().collect();
    let mut learners: BTreeSet<u64> = applied.conf_state.learners.iter().copied().collect();
    for entry in recovered.entries.iter().filter(|entry| entry.index > applied.index) {
        if entry.kind == EntryKind::Normal {
            continue;
        }
        let change = ConfChange::from_etcd(entry.data.clone());
        let ConfChange { kind, node, .. } = change.map_err(|_| Error::ConfChange { index: entry.index })?;
        match kind {
            ConfChangeKind::AddNode => {
                learners.remove(&node.0);
                voters.insert(node.0);
            }
            ConfChangeKind::AddLearnerNode => {
                learners.insert(node.0);
            }
            ConfChangeKind::RemoveNode => {
                voters.remove(&node.0);
                learners.remove(&node.0);
            }
            ConfChangeKind::UpdateNode => {}
        }
    }
    // Somebody always has to vote, so the promotion comes first.
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

fn last_term(recovered: &Recovered) -> u64 {
    recovered.entries.last().map_or(recovered.snapshot.term, |entry| entry.term)
}
