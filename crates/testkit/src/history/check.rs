//! Compares responses with what a cluster keeps.

use std::collections::HashMap;
use std::time::Duration;

use super::{Call, History, Operation, Outcome, Truth, Violation, is_in_time};
use crate::watch_history::{self, Seen};

/// What a history had in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Changes that were acknowledged.
    pub changes: usize,
    /// Reads with a response, and conditions that did not hold.
    pub reads: usize,
    /// Requests without a response.
    pub unknown: usize,
    /// Those of them that took effect nevertheless.
    pub unknown_done: usize,
    /// Changes that watches have reported.
    pub events: usize,
}

/// Checks all requests that have ever changed a store, those that read it, and watches.
pub fn check(truth: &Truth, history: &History) -> Result<Summary, Violation> {
    let mut summary = requests(truth, &history.operations)?;
    for (watch, events) in history.watches.iter().enumerate() {
        // A watch that was ended at some moment has reported everything up to some change.
        let checked = watch_history::check(truth.record(), events, last_revision(events));
        summary.events += checked.map_err(|source| Violation::Watch { watch, source })?;
    }
    Ok(summary)
}

fn last_revision(events: &watch_history::History) -> i64 {
    let of_response = |seen: &Seen| match seen {
        Seen::Events { events, .. } => events.last().map(|event| event.row.mod_revision),
        _ => None,
    };
    events.seen.iter().rev().find_map(of_response).unwrap_or_default()
}

fn requests(truth: &Truth, history: &[Operation]) -> Result<Summary, Violation> {
    let floors = Floors::of(history);
    let mut summary = Summary::default();
    for operation in history {
        if let Some((revision, is_change)) = operation.place() {
            agreement(truth, operation)?;
            in_time(&floors, operation, revision, is_change)?;
            *(if is_change { &mut summary.changes } else { &mut summary.reads }) += 1;
        } else {
            summary.unknown += 1;
        }
    }
    summary.unknown_done = effects(truth, history, &floors)?;
    Ok(summary)
}

/// A response is what the truth has at its revision.
fn agreement(truth: &Truth, operation: &Operation) -> Result<(), Violation> {
    let text = || format!("{operation:?}");
    let at = |revision| truth.row(&operation.key, revision);
    match &operation.outcome {
        Outcome::Put(revision, before) => {
            made(truth, operation, *revision)?;
            equal_before(*before == at(revision - 1), truth, operation, *revision)
        }
        Outcome::Swapped(revision) => {
            made(truth, operation, *revision)?;
            condition(truth, operation, *revision)
        }
        Outcome::Deleted(revision, Some(before)) => {
            made(truth, operation, *revision)?;
            equal_before(Some(before) == at(revision - 1).as_ref(), truth, operation, *revision)
        }
        Outcome::Deleted(revision, None) => match at(*revision) {
            None => Ok(()),
            expected => Err(Violation::Read { revision: *revision, expected, operation: text() }),
        },
        Outcome::Rejected(revision, row) | Outcome::Read(revision, row) => {
            let expected = at(*revision);
            if *row != expected {
                return Err(Violation::Read { revision: *revision, expected, operation: text() });
            }
            let is_held = matches!(&operation.call, Call::Swap { expected, .. }
                if row.as_ref().map_or(0, |row| row.changed) == *expected);
            match is_held {
                false => Ok(()),
                true => {
                    Err(Violation::Condition { revision: *revision, before: expected, operation: text() })
                }
            }
        }
        Outcome::Unknown => Ok(()),
    }
}

/// The change is there, as it was requested.
fn made(truth: &Truth, operation: &Operation, revision: i64) -> Result<(), Violation> {
    let found = truth.change(revision);
    let is_it = found
        .is_some_and(|change| change.key == operation.key && change.value.as_deref() == operation.value());
    match is_it {
        true => Ok(()),
        false => {
            Err(Violation::Lost { revision, found: found.cloned(), operation: format!("{operation:?}") })
        }
    }
}

fn equal_before(
    is_equal: bool,
    truth: &Truth,
    operation: &Operation,
    revision: i64,
) -> Result<(), Violation> {
    let before = truth.row(&operation.key, revision - 1);
    match is_equal {
        true => Ok(()),
        false => Err(Violation::Previous { revision, before, operation: format!("{operation:?}") }),
    }
}

/// The condition of a change that was made at this revision did hold.
fn condition(truth: &Truth, operation: &Operation, revision: i64) -> Result<(), Violation> {
    let Call::Swap { expected, .. } = operation.call else { return Ok(()) };
    let before = truth.row(&operation.key, revision - 1);
    match before.as_ref().map_or(0, |row| row.changed) == expected {
        true => Ok(()),
        false => Err(Violation::Condition { revision, before, operation: format!("{operation:?}") }),
    }
}

fn in_time(floors: &Floors, operation: &Operation, revision: i64, is_change: bool) -> Result<(), Violation> {
    let floor = floors.at(operation.sent);
    if is_in_time(revision, floor, is_change) {
        return Ok(());
    }
    Err(Violation::Stale { revision, floor, operation: format!("{operation:?}") })
}

/// Each change is the effect of one request, and each request has one effect at most. Returns how many requests
/// without a response had theirs.
fn effects(truth: &Truth, history: &[Operation], floors: &Floors) -> Result<usize, Violation> {
    let by_value: HashMap<_, _> =
        history.iter().filter_map(|operation| Some((operation.value()?, operation))).collect();
    let mut done = HashMap::new();
    let mut deletes = Deletes::of(history)?;
    let mut unknown_done = 0;
    for (revision, change) in truth.changes() {
        let invented = || Violation::Invented { revision, change: change.clone() };
        let operation = match &change.value {
            Some(value) => {
                let operation = *by_value.get(value.as_str()).ok_or_else(invented)?;
                if let Some(first) = done.insert(value, revision) {
                    let operation = format!("{operation:?}");
                    return Err(Violation::Twice { first, second: revision, operation });
                }
                operation
            }
            None => deletes.take(&change.key, revision, floors).ok_or_else(invented)?,
        };
        if operation.key != change.key || operation.place().is_some_and(|place| place != (revision, true)) {
            return Err(invented());
        }
        if operation.outcome == Outcome::Unknown {
            unknown_done += 1;
            condition(truth, operation, revision)?;
            in_time(floors, operation, revision, true)?;
        }
    }
    Ok(unknown_done)
}

/// Requests to delete, which no value identifies.
struct Deletes<'a> {
    by_revision: HashMap<i64, &'a Operation>,
    /// By key, the one that was sent last in front.
    unknown: HashMap<&'a str, Vec<&'a Operation>>,
}

impl<'a> Deletes<'a> {
    fn of(history: &'a [Operation]) -> Result<Self, Violation> {
        let (mut by_revision, mut unknown) = (HashMap::<_, &Operation>::new(), HashMap::<_, Vec<_>>::new());
        for operation in history.iter().filter(|operation| operation.call == Call::Delete) {
            match operation.outcome {
                Outcome::Deleted(revision, Some(_)) => {
                    if let Some(other) = by_revision.insert(revision, operation) {
                        let (first, second) = (format!("{other:?}"), format!("{operation:?}"));
                        return Err(Violation::Shared { revision, first, second });
                    }
                }
                Outcome::Unknown => unknown.entry(operation.key.as_str()).or_default().push(operation),
                _ => (),
            }
        }
        for operations in unknown.values_mut() {
            operations.sort_by_key(|operation| std::cmp::Reverse(operation.sent));
        }
        Ok(Self { by_revision, unknown })
    }

    /// The request that has deleted this row. Those without a response are taken in the order in which they were
    /// sent: if any assignment agrees with time, this one does.
    fn take(&mut self, key: &str, revision: i64, floors: &Floors) -> Option<&'a Operation> {
        if let Some(operation) = self.by_revision.get(&revision) {
            return Some(operation);
        }
        let operation = self.unknown.get_mut(key)?.pop()?;
        (floors.at(operation.sent) < revision).then_some(operation)
    }
}

/// The highest revision that was acknowledged before a moment.
struct Floors(Vec<(Duration, i64)>);

impl Floors {
    fn of(history: &[Operation]) -> Self {
        let places = history.iter().filter_map(|operation| Some((operation.received, operation.place()?.0)));
        let mut floors: Vec<_> = places.collect();
        floors.sort_unstable();
        let mut highest = 0;
        for (_, revision) in &mut floors {
            highest = highest.max(*revision);
            *revision = highest;
        }
        Self(floors)
    }

    fn at(&self, moment: Duration) -> i64 {
        let before = self.0.partition_point(|(received, _)| *received < moment);
        before.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}
