//! The store goes on from another member's state: watches miss nothing, or end as compacted.

use ferretcd_base::KeyRange;
use ferretcd_watch::{Delivery, WatchBatch, WatchSpec};

use crate::harness::{Harness, Write};

/// The revision of each batch.
fn revisions(batches: &[WatchBatch]) -> Vec<i64> {
    batches.iter().map(|batch| batch.revision).collect()
}

#[test]
fn after_a_restore_watches_go_on_from_history_or_end_as_compacted() {
    let put = |n: i64| vec![Write::Put("a".into(), n.to_string().into())];
    for compact in [None, Some(4), Some(5), Some(6), Some(20)] {
        let mut harness = Harness::new();
        harness.put("b", "stored");
        harness.put("c", "stored");
        harness.commit_and_release();
        harness.advance();
        let stream = harness.open(usize::MAX, false);
        harness.create(stream, WatchSpec::new(KeyRange::all()));
        harness.create(stream, WatchSpec { start: 30, ..WatchSpec::new(KeyRange::all()) });
        harness.put("a", "delivered");
        harness.advance();
        assert_eq!(revisions(&harness.seen_events(stream)), [4]);

        let elsewhere: Vec<_> = (0..17).map(put).collect();
        harness.restore(&elsewhere, compact, 100);
        harness.settle();
        // The synced watch wants revision 5 next.
        match compact {
            Some(compacted @ 6..) => {
                assert_eq!(harness.seen(stream)[0], Delivery::Compacted { id: 0, compacted });
            }
            _ => assert_eq!(harness.seen_events(stream).last().map(|batch| batch.revision), Some(21)),
        }
        harness.put("a", "live again");
        harness.advance();
        let n_received = usize::from(compact.is_none_or(|compacted| compacted < 6));
        assert_eq!(revisions(&harness.seen_events(stream)), vec![22; n_received]);
        while harness.store.revision() < 30 {
            harness.put("b", "v");
        }
        harness.settle();
        assert_eq!(harness.seen_events(stream).last().map(|batch| batch.revision), Some(30));
    }
}
