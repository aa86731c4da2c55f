//! Each rule is broken once on purpose.

use std::time::Duration;

use ferretcd_api_proto::mvccpb::KeyValue;

use super::{Call, History, Operation, Outcome, Row, Summary, Truth, Violation};
use crate::watch_history::{self, Event, Seen, WatchRequest};

fn event(revision: i64, key: &str, value: &str) -> Event {
    let is_delete = value == "-";
    let value = if is_delete { "" } else { value }.to_owned().into();
    let row = KeyValue { key: key.to_owned().into(), value, mod_revision: revision, ..KeyValue::default() };
    Event { is_delete, row, prev: None }
}

/// `revision key value`, `-` for none.
fn truth(changes: &[(i64, &str, &str)]) -> Truth {
    let mut truth = Truth::default();
    for (revision, key, value) in changes {
        truth.add(event(*revision, key, value));
    }
    truth
}

/// A request for the key `k` in a span of milliseconds.
fn operation(sent: u64, received: u64, call: Call, outcome: Outcome) -> Operation {
    let (sent, received) = (Duration::from_millis(sent), Duration::from_millis(received));
    Operation { key: "k".to_owned(), call, outcome, sent, received }
}

fn put(value: &str) -> Call {
    Call::Put { value: value.to_owned() }
}

fn swap(expected: i64, value: &str) -> Call {
    Call::Swap { expected, value: value.to_owned() }
}

fn row(value: &str, changed: i64) -> Option<Row> {
    Some(Row { value: value.to_owned(), changed })
}

fn check(truth: &Truth, operations: &[Operation]) -> Result<Summary, Violation> {
    super::check(truth, &History { operations: operations.to_vec(), watches: Vec::new() })
}

fn assert_found(truth: &Truth, history: &[Operation], is_it: impl Fn(&Violation) -> bool) {
    let found = check(truth, history).expect_err("something is wrong");
    assert!(is_it(&found), "{found:?}");
}

#[test]
fn a_proper_history() {
    let truth = truth(&[(2, "k", "a"), (3, "k", "b"), (4, "k", "-"), (5, "k", "c"), (6, "k", "-")]);
    let history = [
        operation(0, 10, put("a"), Outcome::Put(2, None)),
        operation(11, 20, Call::Read, Outcome::Read(2, row("a", 2))),
        operation(21, 30, swap(2, "b"), Outcome::Swapped(3)),
        // The same time, and a response that comes late.
        operation(21, 60, swap(2, "x"), Outcome::Rejected(3, row("b", 3))),
        operation(21, 40, Call::Delete, Outcome::Deleted(4, row("b", 3))),
        operation(41, 50, Call::Delete, Outcome::Deleted(4, None)),
        // They took effect, and one has not.
        operation(45, 55, put("c"), Outcome::Unknown),
        operation(45, 55, Call::Delete, Outcome::Unknown),
        operation(45, 55, put("d"), Outcome::Unknown),
    ];
    let summary = Summary { changes: 3, reads: 3, unknown: 3, unknown_done: 2, events: 0 };
    assert_eq!(check(&truth, &history), Ok(summary));
}

#[test]
fn lost_changes() {
    let acknowledged = [operation(0, 1, put("a"), Outcome::Put(2, None))];
    let is_lost = |found: &Violation| matches!(found, Violation::Lost { revision: 2, .. });
    assert_found(&truth(&[]), &acknowledged, is_lost);
    assert_found(&truth(&[(2, "k", "b")]), &acknowledged, is_lost);
    assert_found(&truth(&[(2, "other", "a")]), &acknowledged, is_lost);
    assert_found(&truth(&[(3, "k", "a")]), &acknowledged, is_lost);
    let deleted = [operation(0, 1, Call::Delete, Outcome::Deleted(2, row("a", 1)))];
    assert_found(&truth(&[(1, "k", "a")]), &deleted, is_lost);
}

#[test]
fn conditions() {
    let truth = truth(&[(2, "k", "a"), (3, "k", "b")]);
    let first = operation(0, 1, put("a"), Outcome::Put(2, None));
    let is_it = |found: &Violation| matches!(found, Violation::Condition { .. });
    // Done, although it did not hold; also without a response; and not done, although it did.
    assert_found(&truth, &[first.clone(), operation(2, 3, swap(1, "b"), Outcome::Swapped(3))], is_it);
    assert_found(&truth, &[first.clone(), operation(2, 3, swap(0, "b"), Outcome::Unknown)], is_it);
    let rejected = operation(2, 3, swap(2, "c"), Outcome::Rejected(2, row("a", 2)));
    assert_found(&truth, &[first, operation(2, 5, put("b"), Outcome::Put(3, row("a", 2))), rejected], is_it);
}

#[test]
fn rows_before() {
    let truth = truth(&[(2, "k", "a"), (3, "k", "b")]);
    let first = operation(0, 1, put("a"), Outcome::Put(2, None));
    for wrong in [None, row("z", 2), row("a", 1)] {
        let history = [first.clone(), operation(2, 3, put("b"), Outcome::Put(3, wrong))];
        assert_found(&truth, &history, |found| matches!(found, Violation::Previous { revision: 3, .. }));
    }
}

#[test]
fn reads() {
    let truth = truth(&[(2, "k", "a"), (3, "k", "b")]);
    let changes = [
        operation(0, 1, put("a"), Outcome::Put(2, None)),
        operation(2, 9, put("b"), Outcome::Put(3, row("a", 2))),
    ];
    for wrong in [None, row("b", 3), row("b", 2)] {
        let read = operation(2, 3, Call::Read, Outcome::Read(2, wrong));
        let history = [&changes[..], &[read]].concat();
        assert_found(&truth, &history, |found| matches!(found, Violation::Read { revision: 2, .. }));
    }
    let nothing = operation(2, 3, Call::Delete, Outcome::Deleted(2, None));
    let history = [&changes[..], &[nothing]].concat();
    assert_found(&truth, &history, |found| matches!(found, Violation::Read { .. }));
}

#[test]
fn stale_responses_are_found() {
    let is_stale = |found: &Violation| matches!(found, Violation::Stale { floor: 3, .. });
    let changes = [
        operation(0, 1, put("a"), Outcome::Put(2, None)),
        operation(2, 3, put("b"), Outcome::Put(3, row("a", 2))),
    ];
    let read = operation(4, 5, Call::Read, Outcome::Read(2, row("a", 2)));
    let both_puts = truth(&[(2, "k", "a"), (3, "k", "b")]);
    assert_found(&both_puts, &[&changes[..], &[read]].concat(), is_stale);
    // While the change is under way both answers are right.
    let read = operation(2, 5, Call::Read, Outcome::Read(2, row("a", 2)));
    assert!(check(&both_puts, &[&changes[..], &[read]].concat()).is_ok());
    // A change that was sent after the response to another one comes behind it.
    let backwards = [
        operation(0, 1, put("b"), Outcome::Put(3, row("a", 2))),
        operation(2, 3, put("a"), Outcome::Put(2, None)),
    ];
    assert_found(&both_puts, &backwards, is_stale);
    let backwards = [
        operation(0, 1, put("b"), Outcome::Put(3, row("a", 2))),
        operation(2, 3, put("a"), Outcome::Unknown),
    ];
    assert_found(&both_puts, &backwards, is_stale);
    // Responses about another key count as well.
    let other = Operation { key: "l".to_owned(), ..operation(0, 1, put("l"), Outcome::Put(3, None)) };
    let read = operation(2, 3, Call::Read, Outcome::Read(2, row("a", 2)));
    let both = truth(&[(2, "k", "a"), (3, "l", "l")]);
    assert_found(&both, &[operation(0, 1, put("a"), Outcome::Put(2, None)), other, read], is_stale);
}

#[test]
fn repeated_effects() {
    let is_twice = |found: &Violation| matches!(found, Violation::Twice { .. });
    let again = truth(&[(2, "k", "a"), (3, "k", "a")]);
    assert_found(&again, &[operation(0, 1, put("a"), Outcome::Unknown)], is_twice);
    assert_found(&again, &[operation(0, 1, put("a"), Outcome::Put(2, None))], is_twice);
}

#[test]
fn invented_changes() {
    let is_invented = |found: &Violation| matches!(found, Violation::Invented { .. });
    assert_found(&truth(&[(2, "k", "a")]), &[], is_invented);
    let deleted = truth(&[(2, "k", "a"), (3, "k", "-"), (4, "k", "b"), (5, "k", "-")]);
    let puts =
        [operation(0, 1, put("a"), Outcome::Put(2, None)), operation(2, 3, put("b"), Outcome::Unknown)];
    assert_found(&deleted, &puts, is_invented);
    // One request cannot have deleted both rows, and not before it was sent.
    let one = operation(0, 1, Call::Delete, Outcome::Unknown);
    assert_found(&deleted, &[&puts[..], std::slice::from_ref(&one)].concat(), is_invented);
    let early = truth(&[(2, "k", "a"), (3, "k", "-"), (4, "k", "b")]);
    let late = [
        operation(0, 1, put("a"), Outcome::Put(2, None)),
        operation(2, 3, put("b"), Outcome::Put(4, None)),
        operation(4, 5, Call::Delete, Outcome::Unknown),
    ];
    assert_found(&early, &late, is_invented);
    // One row is not deleted by two.
    let shared = [
        operation(0, 1, put("a"), Outcome::Put(2, None)),
        operation(2, 5, Call::Delete, Outcome::Deleted(3, row("a", 2))),
        operation(2, 5, Call::Delete, Outcome::Deleted(3, row("a", 2))),
    ];
    assert_found(&truth(&[(2, "k", "a"), (3, "k", "-")]), &shared, |found| {
        matches!(found, Violation::Shared { revision: 3, .. })
    });
}

#[test]
fn watches() {
    let truth = truth(&[(2, "k", "a"), (4, "k", "-"), (5, "k", "b")]);
    let delivered = |changes: &[(i64, &str)]| {
        let seen = |(revision, value): &(i64, &str)| {
            let events = vec![event(*revision, "k", value)];
            Seen::Events { header: *revision, events, fragment: false }
        };
        let operations = vec![
            operation(0, 1, put("a"), Outcome::Put(2, None)),
            operation(2, 3, Call::Delete, Outcome::Deleted(4, row("a", 2))),
            operation(4, 5, put("b"), Outcome::Put(5, None)),
        ];
        let request = WatchRequest { key: "k".into(), start: 1, ..WatchRequest::default() };
        let seen = changes.iter().map(seen).collect();
        let watch = watch_history::History { request, floor: 0, headers_are_bookmarks: false, seen };
        super::check(&truth, &History { operations, watches: vec![watch] })
    };
    let all = [(2, "a"), (4, "-"), (5, "b")];
    for end in 0..=all.len() {
        assert_eq!(delivered(&all[..end]).expect("nothing is wrong").events, end);
    }
    let wrong: &[&[(i64, &str)]] = &[
        &[(4, "-"), (5, "b")],
        &[(2, "a"), (5, "b")],
        &[(2, "a"), (2, "a")],
        &[(2, "a"), (5, "b"), (4, "-")],
        &[(2, "z")],
        &[(3, "a")],
        &[(2, "a"), (4, "-"), (5, "b"), (6, "c")],
    ];
    for changes in wrong {
        assert!(matches!(delivered(changes), Err(Violation::Watch { .. })), "{changes:?}");
    }
}
