//! The rules that random steps don't show: what is shared, what is bounded, what costs nothing.

use bytes::Bytes;
use ferretcd_base::KeyRange;
use ferretcd_watch::{CreateError, Delivery, End, WatchBatch, WatchSpec};

use crate::harness::{Harness, Write};

const NO_BOUND: usize = usize::MAX;

fn key(key: &'static str) -> WatchSpec {
    WatchSpec::new(KeyRange::Key(key.into()))
}

fn all() -> WatchSpec {
    WatchSpec::new(KeyRange::all())
}

fn from(start: i64, spec: WatchSpec) -> WatchSpec {
    WatchSpec { start, ..spec }
}

fn interval(start: &'static str, end: &'static str) -> WatchSpec {
    WatchSpec::new(KeyRange::Interval(start.into(), end.into()))
}

/// A harness whose history, revisions 2 to `last`, is in the state file alone.
fn with_stored_history(last: i64) -> Harness {
    let mut harness = Harness::new();
    while harness.store.revision() < last {
        let number = harness.store.revision();
        harness.put(["a", "b", "c"][number as usize % 3], &number.to_string());
    }
    harness.commit_and_release();
    harness.advance();
    harness
}

/// The revision of each batch.
fn revisions(batches: &[WatchBatch]) -> Vec<i64> {
    batches.iter().map(|batch| batch.revision).collect()
}

#[test]
fn watches_of_one_group_share_their_events() {
    let mut harness = Harness::new();
    let streams: Vec<_> = (0..10).map(|_| harness.open(NO_BOUND, false)).collect();
    let past = harness.put("a", "0");
    harness.commit_and_release();
    harness.advance();
    for n in 0..1_000 {
        harness.create(streams[n % 10], from(if n < 500 { past } else { 0 }, key("a")));
    }
    harness.settle();
    harness.put("a", "1");
    harness.advance();
    let batches: Vec<_> = streams.iter().flat_map(|&stream| harness.seen_events(stream)).collect();
    let blocks = |revision: i64| -> Vec<&Bytes> {
        let of_revision = batches.iter().filter(|batch| batch.revision == revision);
        of_revision.map(|batch| batch.events.as_bytes()).collect()
    };
    for (revision, n_expected) in [(past, 500), (past + 1, 1_000)] {
        let blocks = blocks(revision);
        assert_eq!(blocks.len(), n_expected);
        assert!(blocks.iter().all(|block| block.as_ptr() == blocks[0].as_ptr()), "one block for all");
    }
}

#[test]
fn an_event_is_encoded_once_for_each_of_its_forms() {
    let mut harness = Harness::new();
    let stream = harness.open(NO_BOUND, false);
    for spec in [key("b"), all(), interval("a", "c"), WatchSpec { no_delete: true, ..key("b") }] {
        harness.create(stream, spec.clone());
        harness.create(stream, WatchSpec { prev_kv: true, ..spec });
    }
    harness.put("b", "1");
    harness.advance();
    let batches = harness.seen_events(stream);
    assert_eq!(batches.len(), 8);
    for prev_kv in [0, 1] {
        let mut blocks = batches.iter().filter(|batch| batch.id % 2 == prev_kv);
        let first = blocks.next().unwrap().events.as_bytes().as_ptr();
        assert!(blocks.all(|batch| batch.events.as_bytes().as_ptr() == first));
    }
}

#[test]
fn ids_are_chosen_around_those_in_use() {
    let mut harness = Harness::new();
    let stream = harness.open(NO_BOUND, false);
    let cases = [(0, Ok(0)), (1, Ok(1)), (3, Ok(3)), (0, Ok(2)), (0, Ok(4)), (-5, Ok(-5))];
    for (id, expected) in cases {
        assert_eq!(harness.create(stream, WatchSpec { id, ..all() }), Some(expected));
    }
    harness.cancel(stream, 2);
    assert_eq!(harness.create(stream, all()), Some(Ok(5)), "a free id is not chosen again");
    assert_eq!(harness.create(stream, WatchSpec { id: 2, ..all() }), Some(Ok(2)), "but may be requested");
    assert_eq!(harness.create(stream, WatchSpec { id: 2, ..all() }), Some(Err(CreateError::DuplicateId)));
    let empty = WatchSpec { id: 2, ..interval("b", "b") };
    assert_eq!(harness.create(stream, empty), Some(Err(CreateError::EmptyRange)));
    let other = harness.open(NO_BOUND, false);
    assert_eq!(harness.create(other, WatchSpec { id: 2, ..all() }), Some(Ok(2)), "ids belong to a stream");
}

#[test]
fn a_future_start_waits_and_leaves_out_what_comes_before() {
    let mut harness = Harness::new();
    let stream = harness.open(NO_BOUND, false);
    harness.create(stream, WatchSpec { progress_notify: true, ..from(4, all()) });
    harness.progress(stream);
    harness.tick(stream);
    for value in ["2", "3"] {
        assert!(!harness.take_request() && !harness.catch_up(), "the future is not read");
        assert_eq!(harness.seen(stream).len(), usize::from(value == "2"), "nothing but that it was created");
        harness.put("a", value);
        harness.advance();
    }
    assert_eq!(harness.seen(stream), [Delivery::Progress { id: None, revision: 3 }]);
    harness.put("a", "4");
    harness.advance();
    assert_eq!(revisions(&harness.seen_events(stream)), [4]);
}

#[test]
fn starts_outside_of_all_bounds() {
    let mut harness = with_stored_history(5);
    let stream = harness.open(NO_BOUND, false);
    for start in [i64::MAX, i64::MIN, -2, -1, 1] {
        harness.create(stream, from(start, all()));
    }
    harness.settle();
    let seen = harness.seen(stream);
    let compacted = |id| Delivery::Compacted { id, compacted: -1 };
    assert!(seen.contains(&compacted(1)) && seen.contains(&compacted(2)), "negative ones are gone for ever");
    let n_events = |id| {
        let of_watch = seen.iter().filter_map(|delivery| match delivery {
            Delivery::Events(batch) if batch.id == id => Some(batch.events.len()),
            _ => None,
        });
        of_watch.sum::<usize>()
    };
    assert_eq!([0, 3, 4].map(n_events), [0, 4, 4]);
    assert_eq!(harness.hub.counts().unsynced, 0, "watches with a future start do not count as unsynced");
}

#[test]
fn a_start_that_is_jumped_over_is_history() {
    let mut harness = Harness::new();
    let stream = harness.open(NO_BOUND, false);
    harness.create(stream, from(4, all()));
    for value in ["2", "3", "4", "5"] {
        harness.put("a", value);
    }
    harness.settle();
    let batches = harness.seen_events(stream);
    assert_eq!(batches.iter().map(|batch| batch.events.len()).sum::<usize>(), 2);
}

#[test]
fn a_stuck_stream_costs_nothing_and_loses_nothing() {
    let mut harness = Harness::new();
    let (stuck, other) = (harness.open(1, false), harness.open(NO_BOUND, false));
    for stream in [stuck, other] {
        harness.create(stream, all());
    }
    harness.create(stuck, key("z"));
    for n in 0..50 {
        harness.put("a", &n.to_string());
        harness.advance();
        assert!(!harness.catch_up(), "nothing is read for a stream that can't take it");
        harness.commit_and_release();
        assert!(!harness.take_request());
    }
    assert_eq!(revisions(&harness.seen_events(stuck)), [2]);
    assert_eq!(revisions(&harness.seen_events(other)), (2..52).collect::<Vec<_>>());
    assert_eq!(harness.hub.counts().unsynced, 1, "a watch that the changes don't concern is synced");
    harness.set_capacity(stuck, NO_BOUND);
    harness.resume(stuck);
    assert!(!harness.catch_up());
    assert_eq!(harness.settle(), 1, "what it missed is read at once");
    assert_eq!(revisions(&harness.seen_events(stuck)), [51]);
}

#[test]
fn very_many_watches_of_one_stream_go_on_when_it_has_room() {
    let mut harness = with_stored_history(10);
    harness.put("a", "in memory");
    harness.advance();
    let stream = harness.open(0, false);
    for n in 0..4_000 {
        harness.create(stream, from(2 + n % 10, key(["a", "z"][n as usize % 2])));
    }
    harness.settle();
    for id in 0..1_000 {
        harness.cancel(stream, id);
    }
    assert_eq!(harness.hub.counts().unsynced, 3_000);
    harness.set_capacity(stream, NO_BOUND);
    harness.resume(stream);
    harness.settle();
    assert_eq!(harness.hub.counts().unsynced, 0);
}

#[test]
fn history_is_read_once_for_all_unsynced_watches() {
    let mut harness = with_stored_history(2_500);
    let streams: Vec<_> = (0..20).map(|_| harness.open(NO_BOUND, false)).collect();
    for n in 0..60 {
        let spec = [key("a"), key("b"), all(), interval("b", "d")][n % 4].clone();
        let start = if n < 30 { 2 } else { 2 + 10 * n as i64 };
        harness.create(streams[n % 20], WatchSpec { prev_kv: n % 3 == 0, ..from(start, spec) });
    }
    let n_reads = harness.settle();
    assert!(n_reads <= 3, "{n_reads} reads for 2500 revisions");
    assert_eq!(harness.hub.counts().unsynced, 0);
}

#[test]
fn catching_up_goes_in_bounded_steps() {
    let mut harness = Harness::new();
    let stream = harness.open(NO_BOUND, false);
    for n in 0..5_000 {
        harness.put("a", &n.to_string());
    }
    harness.advance();
    harness.create(stream, from(2, all()));
    assert!(!harness.take_request(), "what is in memory is not read from the state file");
    let mut n_events = 0;
    while harness.catch_up() {
        let of_step: usize = harness.seen_events(stream).iter().map(|batch| batch.events.len()).sum();
        assert!(of_step <= 1_000, "{of_step} events in one step");
        n_events += of_step;
    }
    assert_eq!(n_events, 5_000);
    assert!(!harness.take_request());
}

#[test]
fn a_burst_is_delivered_in_parts() {
    let mut harness = Harness::new();
    let (narrow, wide) = (harness.open(100, false), harness.open(NO_BOUND, false));
    for stream in [narrow, wide] {
        harness.create(stream, WatchSpec { prev_kv: true, ..all() });
        // Some of them wait for the revision with which a part begins.
        for start in 3..63 {
            harness.create(stream, from(start, all()));
        }
    }
    let large = "v".repeat(40_000);
    for _ in 2..62 {
        harness.put("a", &large);
    }
    harness.advance();
    let batches = harness.seen_events(wide);
    assert!(batches.iter().filter(|batch| batch.id == 0).count() > 1);
    assert!(batches.iter().all(|batch| batch.events.as_bytes().len() < 4 << 20), "no part is much too large");
    harness.commit_and_release();
    harness.finish();
}

#[test]
fn a_large_transaction_stays_whole() {
    let mut harness = Harness::new();
    let stream = harness.open(NO_BOUND, false);
    harness.create(stream, all());
    let puts = (0..5_000).map(|n| Write::Put(format!("{n:05}").into(), "v".into()));
    let large = harness.write(&puts.collect::<Vec<_>>());
    harness.put("a", "v");
    harness.advance();
    harness.create(stream, from(large, WatchSpec { prev_kv: true, ..all() }));
    harness.commit_and_release();
    harness.settle();
    let batches = harness.seen_events(stream);
    let lens = |id| batches.iter().filter(|batch| batch.id == id).map(|batch| batch.events.len()).collect();
    let (live, later): (Vec<_>, Vec<_>) = (lens(0), lens(1));
    assert_eq!((live, later), (vec![5_000, 1], vec![5_000, 1]));
}

#[test]
fn a_compacted_watch_keeps_its_id_until_it_is_canceled() {
    let mut harness = with_stored_history(10);
    let stream = harness.open(NO_BOUND, false);
    harness.compact(5);
    let id = 7;
    harness.create(stream, WatchSpec { id, progress_notify: true, ..from(4, all()) });
    harness.create(stream, from(5, all()));
    harness.progress(stream);
    assert!(!harness.catch_up());
    assert_eq!(harness.seen(stream).pop(), Some(Delivery::Compacted { id, compacted: 5 }));
    harness.settle();
    let seen = harness.seen(stream);
    assert!(matches!(&seen[0], Delivery::Events(batch) if batch.revision == 10 && batch.events.len() == 6));
    let progress = Delivery::Progress { id: None, revision: 10 };
    assert_eq!(seen[1..], [progress], "an ended watch holds back no progress");
    assert_eq!(harness.create(stream, WatchSpec { id, ..all() }), Some(Err(CreateError::DuplicateId)));
    harness.put("a", "v");
    harness.settle();
    assert_eq!(harness.hub.counts().watchers, 1);
    harness.cancel(stream, id);
    assert_eq!(harness.seen(stream).pop(), Some(Delivery::Canceled { id, revision: 11 }));
    assert_eq!(harness.create(stream, WatchSpec { id, ..all() }), Some(Ok(id)));
}

#[test]
fn revoked_watches_get_nothing_more() {
    let mut harness = with_stored_history(6);
    let streams = [harness.open(NO_BOUND, false), harness.open(NO_BOUND, false)];
    for stream in streams {
        harness.create(stream, key("a"));
        // Behind: it waits for history.
        harness.create(stream, from(2, key("b")));
        harness.create(stream, all());
    }
    harness.retain(|range| !range.contains(b"b"));
    harness.settle();
    for stream in streams {
        assert_eq!(harness.ids(stream), [0]);
        let revoked = |id| Delivery::Revoked { id, revision: 6 };
        assert_eq!(harness.seen(stream)[3..], [revoked(1), revoked(2)]);
        // Its id is free again.
        assert_eq!(harness.create(stream, WatchSpec { id: 2, ..key("c") }), Some(Ok(2)));
    }
    harness.put("b", "not seen");
    harness.put("a", "seen");
    harness.advance();
    assert_eq!(revisions(&harness.seen_events(streams[0])), [8]);
    harness.finish();
}

#[test]
fn a_compaction_while_history_is_read_ends_the_watches_below_it() {
    for is_read_before in [false, true] {
        let mut harness = with_stored_history(10);
        let stream = harness.open(NO_BOUND, false);
        harness.create(stream, from(2, key("a")));
        assert!(harness.take_request() && !harness.take_request());
        if is_read_before {
            harness.read();
        }
        harness.compact(8);
        harness.read();
        harness.supply();
        harness.settle();
        let seen = harness.seen(stream);
        match is_read_before {
            true => assert!(matches!(&seen[1..], [Delivery::Events(_)]), "what was read is delivered"),
            false => assert_eq!(seen[1..], [Delivery::Compacted { id: 0, compacted: 8 }]),
        }
    }
}

#[test]
fn a_response_may_come_when_no_watch_wants_it_any_more() {
    let mut harness = with_stored_history(10);
    let (closed, open) = (harness.open(NO_BOUND, false), harness.open(NO_BOUND, false));
    harness.create(closed, from(2, all()));
    assert!(harness.take_request());
    harness.close(closed);
    harness.create(open, from(6, key("b")));
    harness.read();
    harness.supply();
    assert_eq!(harness.hub.counts().unsynced, 0, "a watch created meanwhile uses what was read for others");
    assert_eq!(revisions(&harness.seen_events(open)), [10]);
}

#[test]
fn previous_values_are_read_only_for_events_that_are_delivered() {
    let mut harness = with_stored_history(10);
    let stuck = harness.open(0, false);
    harness.create(stuck, WatchSpec { prev_kv: true, ..from(9, all()) });
    let stream = harness.open(NO_BOUND, false);
    harness.create(stream, WatchSpec { prev_kv: true, ..from(20, all()) });
    harness.put("b", "in memory");
    harness.advance();
    // The values before the revisions 9 and 11.
    harness.lose(6);
    harness.lose(8);
    for start in [9, 11] {
        harness.create(stream, from(start, all()));
        harness.settle();
        assert_eq!(revisions(&harness.seen_events(stream)).last(), Some(&11));
    }
}

#[test]
fn previous_values_that_were_not_requested_are_waited_for() {
    let mut harness = with_stored_history(10);
    let stream = harness.open(NO_BOUND, false);
    harness.create(stream, from(2, key("a")));
    assert!(harness.take_request());
    harness.create(stream, WatchSpec { prev_kv: true, ..from(3, key("b")) });
    harness.create(stream, from(3, key("c")));
    harness.read();
    harness.supply();
    assert_eq!(harness.hub.counts().unsynced, 1);
    assert!(harness.seen_events(stream).iter().all(|batch| batch.id != 1));
    assert_eq!(harness.settle(), 1, "the next read is for it");
    assert_eq!(harness.hub.counts().unsynced, 0);
    assert_eq!(revisions(&harness.seen_events(stream)), [10]);
}

#[test]
fn a_hub_that_was_not_turned_for_long_loses_nothing() {
    let mut harness = Harness::new();
    let stream = harness.open(NO_BOUND, false);
    harness.create(stream, all());
    for n in 0..10 {
        harness.put("a", &n.to_string());
        harness.put("b", &n.to_string());
        harness.commit_and_release();
    }
    harness.put("a", "in memory");
    harness.settle();
    let n_events: usize = harness.seen_events(stream).iter().map(|batch| batch.events.len()).sum();
    assert_eq!(n_events, 21);
}

#[test]
fn progress_waits_for_every_watch() {
    let mut harness = with_stored_history(10);
    let stream = harness.open(NO_BOUND, false);
    harness.progress(stream);
    assert_eq!(harness.seen(stream), [], "without a watch there is no response");
    harness.create(stream, all());
    harness.create(stream, from(3, key("b")));
    harness.seen(stream);
    harness.progress(stream);
    harness.progress(stream);
    assert_eq!(harness.seen(stream), [], "one watch is unsynced");
    harness.settle();
    let seen = harness.seen(stream);
    assert!(matches!(seen[0], Delivery::Events(_)));
    assert_eq!(seen[1..], [Delivery::Progress { id: None, revision: 10 }], "one response to all requests");
    harness.create(stream, from(3, key("b")));
    harness.progress(stream);
    harness.cancel(stream, 2);
    assert_eq!(harness.seen(stream).pop(), Some(Delivery::Progress { id: None, revision: 10 }));
}

#[test]
fn a_tick_delivers_progress_to_quiet_watches_that_want_it() {
    let mut harness = Harness::new();
    let stream = harness.open(NO_BOUND, false);
    harness.create(stream, WatchSpec { progress_notify: true, ..key("a") });
    harness.create(stream, WatchSpec { progress_notify: true, ..key("b") });
    harness.create(stream, key("b"));
    harness.put("a", "v");
    harness.advance();
    harness.seen(stream);
    let progress = |id| Delivery::Progress { id: Some(id), revision: 2 };
    harness.tick(stream);
    assert_eq!(harness.seen(stream), [progress(1)]);
    harness.tick(stream);
    assert_eq!(harness.seen(stream), [progress(0), progress(1)]);
}

#[test]
fn the_end_concerns_streams_that_require_a_leader() {
    let mut harness = Harness::new();
    let (needs_leader, other) = (harness.open(NO_BOUND, true), harness.open(NO_BOUND, false));
    for stream in [needs_leader, other] {
        harness.create(stream, all());
    }
    harness.end_all(End::NoLeader);
    harness.end_all(End::NoLeader);
    assert_eq!(harness.seen(needs_leader).last(), Some(&Delivery::Ended(End::NoLeader)));
    harness.put("a", "v");
    harness.settle();
    assert_eq!(harness.seen_events(other).len(), 1);
    assert_eq!(harness.create(needs_leader, all()), None);
    harness.cancel(needs_leader, 0);
    harness.progress(needs_leader);
    harness.tick(needs_leader);
    harness.end_all(End::Stopped);
    assert_eq!(harness.seen(needs_leader), [], "an ended stream receives nothing");
    assert_eq!(harness.seen(other), [Delivery::Ended(End::Stopped)]);
    assert_eq!(harness.hub.counts().streams, 2);
    harness.close(needs_leader);
    harness.close(other);
    assert_eq!(harness.hub.counts().streams, 0);
}
