//! What relies on a right, when the right is taken away; and names in the log.

use std::future::poll_fn;

use ferretcd_base::KeyRange;
use ferretcd_watch::{Delivery, WatchSpec};

use super::test_member::{TestMember, alice};
use super::{NAME_BYTES_SHOWN, shown};
use crate::{Caller, WatchSession};

/// Everything up to the first delivery that is wanted.
async fn deliveries_until(
    session: &mut WatchSession,
    mut is_wanted: impl FnMut(&Delivery) -> bool,
) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while !deliveries.iter().any(&mut is_wanted) {
        poll_fn(|cx| session.poll_deliveries(cx, &mut deliveries)).await;
    }
    deliveries
}

async fn open(member: &TestMember, caller: &Caller, key: &str) -> WatchSession {
    let mut session = member.engine.watches().open(caller, false);
    let range = KeyRange::Key(key.to_owned().into());
    session.create(WatchSpec::new(range)).expect("the caller may read the key");
    deliveries_until(&mut session, |delivery| matches!(delivery, Delivery::Created { .. })).await;
    session
}

fn n_events(deliveries: &[Delivery]) -> usize {
    let batches = deliveries.iter().filter_map(|delivery| match delivery {
        Delivery::Events(batch) => Some(batch.events.len()),
        _ => None,
    });
    batches.sum()
}

/// The thread `watch` has done what was requested of it before.
async fn settle(session: &mut WatchSession) {
    // It publishes its counts at the end of a turn, after the first delivery.
    for _ in 0..2 {
        session.progress();
        deliveries_until(session, |delivery| matches!(delivery, Delivery::Progress { .. })).await;
    }
}

/// The slow reader has not taken the events when it loses its right to them.
#[tokio::test]
async fn events_that_were_purged_from_a_queue_are_not_pending() {
    const PUTS: usize = 3;
    let member = TestMember::alone().await;
    member.enable_auth(&["k", "other"]).await;
    let mut slow = open(&member, &alice(), "k").await;
    let mut other = open(&member, &alice(), "other").await;
    let mut witness = open(&member, &Caller::MEMBER, "k").await;
    for _ in 0..PUTS {
        member.put("k", 0).await;
    }
    member.put("other", 0).await;
    let mut n_seen = 0;
    while n_seen < PUTS {
        let events = deliveries_until(&mut witness, |it| matches!(it, Delivery::Events(_))).await;
        n_seen += n_events(&events);
    }
    settle(&mut witness).await;
    let watching = &member.engine.channels().watching;
    assert_eq!(watching.pending_events(), PUTS as u64 + 1, "those of the two watches of alice");

    member.revoke("k").await;
    settle(&mut witness).await;
    assert_eq!(watching.pending_events(), 1, "that of the other watch");
    let left = deliveries_until(&mut slow, |it| matches!(it, Delivery::Revoked { .. })).await;
    assert!(matches!(left[..], [Delivery::Revoked { id: 0, .. }]), "{left:?}");
    let kept = deliveries_until(&mut other, |it| matches!(it, Delivery::Events(_))).await;
    assert_eq!(n_events(&kept), 1);
    assert_eq!(watching.pending_events(), 0);
    member.stop().await;
}

/// Any client may have sent it, with any length.
#[test]
fn the_log_shows_the_beginning_of_a_long_name() {
    for name in ["", "alice", &"a".repeat(NAME_BYTES_SHOWN)] {
        assert_eq!(shown(name), name);
    }
    let long = "\u{fc}".repeat(NAME_BYTES_SHOWN);
    assert_eq!(shown(&long), &long[..NAME_BYTES_SHOWN]);
    let odd = format!("a{long}");
    assert_eq!(shown(&odd), &odd[..NAME_BYTES_SHOWN - 1], "no letter is cut");
}
