//! From log and state after a restart to the log in memory that the raft core starts with. The library panics over
//! most of what errs here.

use ferretcd_base::LogPosition;
use raft::RaftState;

use crate::memory_log::MemoryLog;
use crate::{Applied, Error, translate};

pub(crate) fn memory_log(recovered: ferretcd_wal::Recovered, applied: &Applied) -> Result<MemoryLog, Error> {
    let ferretcd_wal::Recovered { snapshot: start, mut hard_state, entries, .. } = recovered;
    check_consecutive(&entries, start.index)?;
    check_conf_state(applied)?;
    let last = start.index + entries.len() as u64;
    if applied.index > last {
        return Err(Error::AppliedBeyondLog { applied: applied.index, last });
    }
    if applied.index < start.index {
        return Err(Error::AppliedBeforeLog { applied: applied.index, start: start.index });
    }
    if hard_state.commit > last {
        return Err(Error::CommitBeyondLog { commit: hard_state.commit, last });
    }
    // The commit index is not synced by itself, so the state can be ahead of it. What was applied is committed.
    hard_state.commit = hard_state.commit.max(applied.index);

    let entries = entries.into_iter().map(translate::entry_from_wal).collect::<Result<_, _>>()?;
    let initial = RaftState {
        hard_state: translate::hard_state_from_wal(hard_state),
        conf_state: translate::conf_state_from_wal(&applied.conf_state),
    };
    Ok(MemoryLog::new(LogPosition::new(start.index, start.term), entries, initial))
}

fn check_consecutive(entries: &[ferretcd_wal::Entry], start: u64) -> Result<(), Error> {
    match entries.iter().zip(start + 1..).find(|(entry, expected)| entry.index != *expected) {
        Some((entry, expected)) => Err(Error::LogGap { expected, found: entry.index }),
        None => Ok(()),
    }
}

/// Unless nothing was applied yet, there is a configuration.
fn check_conf_state(applied: &Applied) -> Result<(), Error> {
    let conf_state = &applied.conf_state;
    let is_new = applied.index == 0 && *conf_state == ferretcd_wal::ConfState::default();
    if is_new || translate::is_startable(conf_state) {
        Ok(())
    } else {
        Err(Error::ConfState { conf_state: conf_state.clone() })
    }
}
