//! The store goes on from another member's state: watches miss nothing, or are told so.

use ferretcd_base::KeyRange;
use ferretcd_watch::{Delivery, WatchBatch, WatchSpec};

use crate::world::{World, Write};

/// The revision of each batch.
fn revisions(batches: &[WatchBatch]) -> Vec<i64> {
    batches.iter().map(|batch| batch.revision).collect()
}

#[test]
fn after_a_restore_watches_go_on_from_history_or_end_as_compacted() {
    let put = |n: i64| vec![Write::Put("a".into(), n.to_string().into())];
    for compact in [None, Some(4), Some(5), Some(6), Some(20)] {
        let mut world = World::new();
        world.put("b", "stored");
        world.put("c", "stored");
        world.commit_and_release();
        world.advance();
        let stream = world.open(usize::MAX, false);
        world.create(stream, WatchSpec::new(KeyRange::all()));
        world.create(stream, WatchSpec { start: 30, ..WatchSpec::new(KeyRange::all()) });
        world.put("a", "told");
        world.advance();
        assert_eq!(revisions(&world.seen_events(stream)), [4]);

        let elsewhere: Vec<_> = (0..17).map(put).collect();
        world.restore(&elsewhere, compact, 100);
        world.settle();
        // The synced watch wants revision 5 next.
        match compact {
            Some(compacted @ 6..) => {
                assert_eq!(world.seen(stream)[0], Delivery::Compacted { id: 0, compacted });
            }
            _ => assert_eq!(world.seen_events(stream).last().map(|batch| batch.revision), Some(21)),
        }
        world.put("a", "live again");
        world.advance();
        let n_told = usize::from(compact.is_none_or(|compacted| compacted < 6));
        assert_eq!(revisions(&world.seen_events(stream)), vec![22; n_told]);
        while world.store.revision() < 30 {
            world.put("b", "v");
        }
        world.settle();
        assert_eq!(world.seen_events(stream).last().map(|batch| batch.revision), Some(30));
    }
}
