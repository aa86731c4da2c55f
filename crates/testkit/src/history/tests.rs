//! Each rule is broken once on purpose.

use std::time::Duration;

use ferretcd_api_proto::mvccpb::KeyValue;

use super::{Answer, Call, History, Operation, Row, Summary, Truth, Violation};
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
fn asked(asked: u64, answered: u64, call: Call, answer: Answer) -> Operation {
    let (asked, answered) = (Duration::from_millis(asked), Duration::from_millis(answered));
    Operation { key: "k".to_owned(), call, answer, asked, answered }
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
    super::check(truth, &History { operations: operations.to_vec(), told: Vec::new() })
}

fn assert_found(truth: &Truth, history: &[Operation], is_it: impl Fn(&Violation) -> bool) {
    let found = check(truth, history).expect_err("something is wrong");
    assert!(is_it(&found), "{found:?}");
}

#[test]
fn a_proper_history() {
    let truth = truth(&[(2, "k", "a"), (3, "k", "b"), (4, "k", "-"), (5, "k", "c"), (6, "k", "-")]);
    let history = [
        asked(0, 10, put("a"), Answer::Put(2, None)),
        asked(11, 20, Call::Read, Answer::Read(2, row("a", 2))),
        asked(21, 30, swap(2, "b"), Answer::Swapped(3)),
        // The same time, and an answer that comes late.
        asked(21, 60, swap(2, "x"), Answer::Refused(3, row("b", 3))),
        asked(21, 40, Call::Delete, Answer::Deleted(4, row("b", 3))),
        asked(41, 50, Call::Delete, Answer::Deleted(4, None)),
        // They took effect, and one has not.
        asked(45, 55, put("c"), Answer::Unknown),
        asked(45, 55, Call::Delete, Answer::Unknown),
        asked(45, 55, put("d"), Answer::Unknown),
    ];
    let summary = Summary { changes: 3, reads: 3, unknown: 3, unknown_done: 2, told: 0 };
    assert_eq!(check(&truth, &history), Ok(summary));
}

#[test]
fn lost_changes() {
    let answered = [asked(0, 1, put("a"), Answer::Put(2, None))];
    let is_lost = |found: &Violation| matches!(found, Violation::Lost { revision: 2, .. });
    assert_found(&truth(&[]), &answered, is_lost);
    assert_found(&truth(&[(2, "k", "b")]), &answered, is_lost);
    assert_found(&truth(&[(2, "other", "a")]), &answered, is_lost);
    assert_found(&truth(&[(3, "k", "a")]), &answered, is_lost);
    let deleted = [asked(0, 1, Call::Delete, Answer::Deleted(2, row("a", 1)))];
    assert_found(&truth(&[(1, "k", "a")]), &deleted, is_lost);
}

#[test]
fn conditions() {
    let truth = truth(&[(2, "k", "a"), (3, "k", "b")]);
    let first = asked(0, 1, put("a"), Answer::Put(2, None));
    let is_it = |found: &Violation| matches!(found, Violation::Condition { .. });
    // Done, although it did not hold; also without an answer; and not done, although it did.
    assert_found(&truth, &[first.clone(), asked(2, 3, swap(1, "b"), Answer::Swapped(3))], is_it);
    assert_found(&truth, &[first.clone(), asked(2, 3, swap(0, "b"), Answer::Unknown)], is_it);
    let refused = asked(2, 3, swap(2, "c"), Answer::Refused(2, row("a", 2)));
    assert_found(&truth, &[first, asked(2, 5, put("b"), Answer::Put(3, row("a", 2))), refused], is_it);
}

#[test]
fn rows_before() {
    let truth = truth(&[(2, "k", "a"), (3, "k", "b")]);
    let first = asked(0, 1, put("a"), Answer::Put(2, None));
    for wrong in [None, row("z", 2), row("a", 1)] {
        let history = [first.clone(), asked(2, 3, put("b"), Answer::Put(3, wrong))];
        assert_found(&truth, &history, |found| matches!(found, Violation::Previous { revision: 3, .. }));
    }
}

#[test]
fn reads() {
    let truth = truth(&[(2, "k", "a"), (3, "k", "b")]);
    let changes =
        [asked(0, 1, put("a"), Answer::Put(2, None)), asked(2, 9, put("b"), Answer::Put(3, row("a", 2)))];
    for wrong in [None, row("b", 3), row("b", 2)] {
        let read = asked(2, 3, Call::Read, Answer::Read(2, wrong));
        let history = [&changes[..], &[read]].concat();
        assert_found(&truth, &history, |found| matches!(found, Violation::Read { revision: 2, .. }));
    }
    let nothing = asked(2, 3, Call::Delete, Answer::Deleted(2, None));
    let history = [&changes[..], &[nothing]].concat();
    assert_found(&truth, &history, |found| matches!(found, Violation::Read { .. }));
}

#[test]
fn stale_answers() {
    let is_stale = |found: &Violation| matches!(found, Violation::Stale { floor: 3, .. });
    let changes =
        [asked(0, 1, put("a"), Answer::Put(2, None)), asked(2, 3, put("b"), Answer::Put(3, row("a", 2)))];
    let read = asked(4, 5, Call::Read, Answer::Read(2, row("a", 2)));
    let told = truth(&[(2, "k", "a"), (3, "k", "b")]);
    assert_found(&told, &[&changes[..], &[read]].concat(), is_stale);
    // While the change is under way both answers are right.
    let read = asked(2, 5, Call::Read, Answer::Read(2, row("a", 2)));
    assert!(check(&told, &[&changes[..], &[read]].concat()).is_ok());
    // A change that was asked for later than another one was answered comes behind it.
    let backwards =
        [asked(0, 1, put("b"), Answer::Put(3, row("a", 2))), asked(2, 3, put("a"), Answer::Put(2, None))];
    assert_found(&told, &backwards, is_stale);
    let backwards =
        [asked(0, 1, put("b"), Answer::Put(3, row("a", 2))), asked(2, 3, put("a"), Answer::Unknown)];
    assert_found(&told, &backwards, is_stale);
    // What another key was answered counts as well.
    let other = Operation { key: "l".to_owned(), ..asked(0, 1, put("l"), Answer::Put(3, None)) };
    let read = asked(2, 3, Call::Read, Answer::Read(2, row("a", 2)));
    let both = truth(&[(2, "k", "a"), (3, "l", "l")]);
    assert_found(&both, &[asked(0, 1, put("a"), Answer::Put(2, None)), other, read], is_stale);
}

#[test]
fn repeated_effects() {
    let is_twice = |found: &Violation| matches!(found, Violation::Twice { .. });
    let again = truth(&[(2, "k", "a"), (3, "k", "a")]);
    assert_found(&again, &[asked(0, 1, put("a"), Answer::Unknown)], is_twice);
    assert_found(&again, &[asked(0, 1, put("a"), Answer::Put(2, None))], is_twice);
}

#[test]
fn invented_changes() {
    let is_invented = |found: &Violation| matches!(found, Violation::Invented { .. });
    assert_found(&truth(&[(2, "k", "a")]), &[], is_invented);
    let deleted = truth(&[(2, "k", "a"), (3, "k", "-"), (4, "k", "b"), (5, "k", "-")]);
    let puts = [asked(0, 1, put("a"), Answer::Put(2, None)), asked(2, 3, put("b"), Answer::Unknown)];
    assert_found(&deleted, &puts, is_invented);
    // One request cannot have deleted both rows, and not before it was asked for.
    let one = asked(0, 1, Call::Delete, Answer::Unknown);
    assert_found(&deleted, &[&puts[..], std::slice::from_ref(&one)].concat(), is_invented);
    let early = truth(&[(2, "k", "a"), (3, "k", "-"), (4, "k", "b")]);
    let late = [
        asked(0, 1, put("a"), Answer::Put(2, None)),
        asked(2, 3, put("b"), Answer::Put(4, None)),
        asked(4, 5, Call::Delete, Answer::Unknown),
    ];
    assert_found(&early, &late, is_invented);
    // One row is not deleted by two.
    let shared = [
        asked(0, 1, put("a"), Answer::Put(2, None)),
        asked(2, 5, Call::Delete, Answer::Deleted(3, row("a", 2))),
        asked(2, 5, Call::Delete, Answer::Deleted(3, row("a", 2))),
    ];
    assert_found(&truth(&[(2, "k", "a"), (3, "k", "-")]), &shared, |found| {
        matches!(found, Violation::Shared { revision: 3, .. })
    });
}

#[test]
fn watches() {
    let truth = truth(&[(2, "k", "a"), (4, "k", "-"), (5, "k", "b")]);
    let told = |changes: &[(i64, &str)]| {
        let seen = |(revision, value): &(i64, &str)| {
            let events = vec![event(*revision, "k", value)];
            Seen::Events { header: *revision, events, fragment: false }
        };
        let operations = vec![
            asked(0, 1, put("a"), Answer::Put(2, None)),
            asked(2, 3, Call::Delete, Answer::Deleted(4, row("a", 2))),
            asked(4, 5, put("b"), Answer::Put(5, None)),
        ];
        let request = WatchRequest { key: "k".into(), start: 1, ..WatchRequest::default() };
        let seen = changes.iter().map(seen).collect();
        let told = watch_history::History { request, floor: 0, headers_are_bookmarks: false, seen };
        super::check(&truth, &History { operations, told: vec![told] })
    };
    let all = [(2, "a"), (4, "-"), (5, "b")];
    for end in 0..=all.len() {
        assert_eq!(told(&all[..end]).expect("nothing is wrong").told, end);
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
        assert!(matches!(told(changes), Err(Violation::Watch { .. })), "{changes:?}");
    }
}
