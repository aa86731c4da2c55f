//! Each broken promise is noticed, and nothing else is.

use bytes::Bytes;

use super::*;
use crate::Random;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(key: &str, value: &str) -> Operation {
    Operation::Put(bytes(key), bytes(value))
}

fn delete(key: &str) -> Operation {
    Operation::Delete(bytes(key), Bytes::new())
}

/// Revisions 2 to 6.
fn record() -> Record {
    let mut record = Record::new(1);
    record.apply(&[put("a", "1")]);
    record.apply(&[put("b", "1"), put("a", "2"), put("c", "1")]);
    record.apply(&[delete("nothing")]);
    record.apply(&[delete("a")]);
    record.apply(&[put("z", "1")]);
    record.apply(&[Operation::Delete(bytes("a"), bytes("d")), put("a", "3")]);
    record
}

fn everything() -> WatchRequest {
    WatchRequest {
        key: bytes("a"),
        range_end: bytes("m"),
        start: 2,
        prev_kv: true,
        ..WatchRequest::default()
    }
}

fn events(record: &Record, request: &WatchRequest, revision: i64) -> Vec<Event> {
    let wanted = record.wanted(request, revision - 1, revision).cloned();
    let without = |event: Event| if request.prev_kv { event } else { Event { prev: None, ..event } };
    wanted.map(without).collect()
}

/// One response per revision.
fn received(record: &Record, request: WatchRequest) -> History {
    let mut seen = vec![Seen::Created(record.revision())];
    for revision in request.start..=record.revision() {
        let events = events(record, &request, revision);
        if !events.is_empty() {
            seen.push(Seen::Events { header: revision, events, fragment: false });
        }
    }
    History { request, floor: 0, headers_are_bookmarks: false, seen }
}

/// Changes the history as a server with a fault would, and names the expected result.
fn check_broken(change: impl FnOnce(&mut Record, &mut History), expected: Result<usize, Violation>) {
    let mut record = record();
    let mut history = received(&record, everything());
    assert_eq!(check(&record, &history, record.revision()), Ok(8));
    change(&mut record, &mut history);
    assert_eq!(check(&record, &history, record.revision()), expected, "{history:#?}");
}

fn events_of(seen: &mut Seen) -> &mut Vec<Event> {
    match seen {
        Seen::Events { events, .. } => events,
        other => panic!("{other:?} has no events"),
    }
}

/// Both parts of a response, divided behind so many events.
fn divided(seen: &Seen, at: usize, fragment: bool) -> [Seen; 2] {
    let Seen::Events { header, events, .. } = seen else { panic!("{seen:?} has no events") };
    let (first, second) = events.split_at(at);
    [
        Seen::Events { header: *header, events: first.to_vec(), fragment },
        Seen::Events { header: *header, events: second.to_vec(), fragment: false },
    ]
}

#[test]
fn a_proper_history_passes() {
    let record = record();
    let check = |request: WatchRequest, count: usize| {
        assert_eq!(
            check(&record, &received(&record, request.clone()), record.revision()),
            Ok(count),
            "{request:?}"
        );
    };
    check(everything(), 8);
    check(WatchRequest { prev_kv: false, ..everything() }, 8);
    check(WatchRequest { no_put: true, ..everything() }, 3);
    check(WatchRequest { no_delete: true, ..everything() }, 5);
    check(WatchRequest { start: 4, ..everything() }, 4);
    check(WatchRequest { range_end: Bytes::new(), ..everything() }, 4);
    check(WatchRequest { key: bytes("b"), range_end: bytes("\0"), ..everything() }, 5);
    check(WatchRequest { start: 9, ..everything() }, 0);
}

#[test]
fn revisions_may_share_a_response() {
    let join = |_: &mut Record, history: &mut History| {
        let second = history.seen.remove(2);
        let Seen::Events { events, .. } = second else { panic!("the second response has events") };
        events_of(&mut history.seen[1]).extend(events);
        if let Seen::Events { header, .. } = &mut history.seen[1] {
            *header = 3;
        }
    };
    check_broken(join, Ok(8));
}

#[test]
fn repetition_is_noticed() {
    let again = |_: &mut Record, history: &mut History| history.seen.insert(3, history.seen[2].clone());
    check_broken(again, Err(Violation::Repeated { revision: 3, position: 3 }));
    let swapped = |_: &mut Record, history: &mut History| history.seen.swap(1, 2);
    check_broken(swapped, Err(Violation::Missing { revision: 2 }));
    let within = |_: &mut Record, history: &mut History| {
        let events = events_of(&mut history.seen[2]);
        events.insert(1, events[0].clone());
    };
    check_broken(within, Err(Violation::Disorder { revision: 3 }));
    let before = |_: &mut Record, history: &mut History| history.request.start = 3;
    check_broken(before, Err(Violation::Repeated { revision: 2, position: 2 }));
}

#[test]
fn another_order_within_a_revision_is_noticed() {
    let swapped = |_: &mut Record, history: &mut History| events_of(&mut history.seen[2]).swap(0, 1);
    check_broken(swapped, Err(Violation::Disorder { revision: 3 }));
}

#[test]
fn gaps_are_noticed() {
    let gone = |at: usize| move |_: &mut Record, history: &mut History| drop(history.seen.remove(at));
    check_broken(gone(1), Err(Violation::Missing { revision: 2 }));
    check_broken(gone(2), Err(Violation::Missing { revision: 3 }));
    // At the end, too.
    check_broken(gone(4), Err(Violation::Missing { revision: 6 }));
    let across_calls = |_: &mut Record, history: &mut History| {
        history.seen[2] = Seen::Lost;
    };
    check_broken(across_calls, Err(Violation::Missing { revision: 3 }));
}

#[test]
fn half_revisions_are_noticed() {
    let shorter = |_: &mut Record, history: &mut History| drop(events_of(&mut history.seen[2]).pop());
    check_broken(shorter, Err(Violation::Torn { revision: 3 }));
    let in_two = |fragment| {
        move |_: &mut Record, history: &mut History| {
            let parts = divided(&history.seen[2], 1, fragment);
            history.seen.splice(2..3, parts);
        }
    };
    check_broken(in_two(false), Err(Violation::Torn { revision: 3 }));
    check_broken(in_two(true), Ok(8));
}

#[test]
fn fragments_belong_together() {
    let interrupted = |_: &mut Record, history: &mut History| {
        let [first, second] = divided(&history.seen[2], 1, true);
        history.seen.splice(2..3, [first, Seen::Progress(2), second]);
    };
    check_broken(interrupted, Err(Violation::Interrupted { seen: "Progress(2)".to_owned() }));
    let of_another = |_: &mut Record, history: &mut History| {
        let [first, mut second] = divided(&history.seen[2], 1, true);
        if let Seen::Events { header, .. } = &mut second {
            *header += 1;
        }
        history.seen.splice(2..3, [first, second]);
    };
    check_broken(of_another, Err(Violation::Header { header: 4, last: 3 }));
    // The response that was lost with the call is delivered again from its beginning.
    let lost = |_: &mut Record, history: &mut History| {
        let [first, _] = divided(&history.seen[2], 1, true);
        history.seen.splice(2..2, [first, Seen::Lost, Seen::Created(6)]);
    };
    check_broken(lost, Ok(8));
}

#[test]
fn inventions_are_noticed() {
    fn noticed(change: impl FnOnce(&mut Record, &mut History)) {
        let mut record = record();
        let mut history = received(&record, everything());
        change(&mut record, &mut history);
        let outcome = check(&record, &history, record.revision());
        assert!(matches!(outcome, Err(Violation::Invented { .. })), "{outcome:?}");
    }
    noticed(|_, history| events_of(&mut history.seen[1])[0].row.value = bytes("other"));
    noticed(|_, history| events_of(&mut history.seen[1])[0].row.version = 2);
    noticed(|_, history| events_of(&mut history.seen[1])[0].row.create_revision = 1);
    noticed(|_, history| events_of(&mut history.seen[1])[0].is_delete = true);
    // What was filtered, and what another range has.
    noticed(|_, history| history.request.no_put = true);
    noticed(|_, history| history.request.key = bytes("b"));
}

#[test]
fn progress_that_overtakes_is_noticed() {
    let at = |place: usize, revision: i64| {
        move |_: &mut Record, history: &mut History| history.seen.insert(place, Seen::Progress(revision))
    };
    check_broken(at(1, 2), Err(Violation::Bookmark { revision: 2, missing: 2 }));
    check_broken(at(2, 3), Err(Violation::Bookmark { revision: 3, missing: 3 }));
    check_broken(at(2, 2), Ok(8));
    // Nothing of this range happens at revision 5.
    check_broken(at(4, 5), Ok(8));
    check_broken(at(4, 6), Err(Violation::Bookmark { revision: 6, missing: 6 }));
    check_broken(at(5, 6), Ok(8));
}

#[test]
fn headers_that_overtake_are_noticed_where_they_are_bookmarks() {
    let header = |revision: i64, are_bookmarks: bool| {
        move |_: &mut Record, history: &mut History| {
            history.headers_are_bookmarks = are_bookmarks;
            if let Seen::Events { header, .. } = &mut history.seen[3] {
                *header = revision;
            }
        }
    };
    check_broken(header(6, false), Ok(8));
    check_broken(header(5, true), Ok(8));
    check_broken(header(6, true), Err(Violation::Bookmark { revision: 6, missing: 6 }));
}

#[test]
fn wrong_rows_before_are_noticed() {
    fn previous(history: &mut History) -> &mut Option<ferretcd_api_proto::mvccpb::KeyValue> {
        &mut events_of(&mut history.seen[2])[1].prev
    }
    fn noticed(change: impl FnOnce(&mut Record, &mut History)) {
        let mut record = record();
        let mut history = received(&record, everything());
        change(&mut record, &mut history);
        let outcome = check(&record, &history, record.revision());
        assert!(matches!(outcome, Err(Violation::Previous { revision: 3, .. })), "{outcome:?}");
    }
    noticed(|_, history| *previous(history) = None);
    noticed(|_, history| previous(history).get_or_insert_default().value = bytes("other"));
    // The row is looked up at revision 2.
    noticed(|record, history| {
        record.compact(2);
        *previous(history) = None;
    });
    noticed(|record, history| {
        record.compact(3);
        *previous(history) = Some(ferretcd_api_proto::mvccpb::KeyValue::default());
    });
    check_broken(
        |record, history| {
            record.compact(3);
            *previous(history) = None;
        },
        Ok(8),
    );
    noticed(|_, history| history.request.prev_kv = false);
}

#[test]
fn headers_behind_their_events_are_noticed() {
    let behind = |_: &mut Record, history: &mut History| {
        if let Seen::Events { header, .. } = &mut history.seen[2] {
            *header = 2;
        }
    };
    check_broken(behind, Err(Violation::Header { header: 2, last: 3 }));
}

#[test]
fn ends_without_reason_are_noticed() {
    let ended = |place: usize, compacted: i64, requested: i64| {
        move |record: &mut Record, history: &mut History| {
            record.compact(requested);
            history.seen.insert(place, Seen::Compacted(compacted));
        }
    };
    let wrong = |position, compacted, requested| Err(Violation::Ended { position, compacted, requested });
    check_broken(ended(1, 2, 2), wrong(1, 2, 2));
    check_broken(ended(1, 3, 2), wrong(1, 3, 2));
    check_broken(ended(3, 4, 6), wrong(3, 4, 6));
    // Then what is below the compacted revision must not be delivered.
    check_broken(ended(1, 3, 3), Err(Violation::Repeated { revision: 2, position: 2 }));
    let justified = |record: &mut Record, history: &mut History| {
        record.compact(3);
        history.seen[1] = Seen::Compacted(3);
    };
    check_broken(justified, Ok(7));
}

#[test]
fn a_watch_from_now_on_begins_between_request_and_response() {
    let record = record();
    let outcome = |created: i64, floor: i64, from: i64| {
        let mut history = received(&record, WatchRequest { start: from, ..everything() });
        history.request.start = 0;
        history.floor = floor;
        history.seen[0] = Seen::Created(created);
        check(&record, &history, record.revision())
    };
    assert_eq!(outcome(3, 3, 4), Ok(4));
    // Written between the two.
    assert_eq!(outcome(3, 1, 4), Ok(4));
    assert_eq!(outcome(3, 1, 3), Ok(7));
    assert_eq!(outcome(3, 1, 2), Ok(8));
    assert_eq!(outcome(3, 2, 2), Err(Violation::Repeated { revision: 2, position: 2 }));
    assert_eq!(outcome(2, 1, 4), Err(Violation::Missing { revision: 3 }));
}

/// Whatever single response or event is lost, doubled or swapped with its neighbour, it is noticed.
#[test]
fn any_single_fault_is_noticed() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut record = Record::new(1);
        for number in 0..20 {
            let key = |random: &mut Random| {
                ["a", "b", "c", "d"][usize::try_from(random.below(4)).expect("below 4")]
            };
            let (first, second) = (key(&mut random), key(&mut random));
            let value = number.to_string();
            match random.below(4) {
                0 => record.apply(&[delete(first)]),
                1 if first != second => record.apply(&[put(first, &value), put(second, &value)]),
                _ => record.apply(&[put(first, &value)]),
            }
        }
        let mut history = received(&record, everything());
        check(&record, &history, record.revision()).expect("the history is proper");
        // The first one is the creation of the watch.
        let places = history.seen.len() as u64 - 1;
        let place = 1 + usize::try_from(random.below(places)).expect("an index");
        match random.below(4) {
            0 => drop(history.seen.remove(place)),
            1 => history.seen.insert(place, history.seen[place].clone()),
            2 if place > 1 => history.seen.swap(place - 1, place),
            _ => drop(events_of(&mut history.seen[place]).pop()),
        }
        check(&record, &history, record.revision()).expect_err(&format!("seed {seed} is noticed"));
    }
}
