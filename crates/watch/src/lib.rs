//! Delivery of changes of the key space to watches.
//!
//! A [`Hub`] reads the history of a [`ferretcd_mvcc::Store`] and delivers to each watch the changes that it selects:
//! every change once, in order, from a revision of its choice on. Its owner calls it step by step: it starts no
//! thread, never blocks on a stream and looks at no clock.
//!
//! ```text
//!                   ┌──────────────── Hub ────────────────┐
//!  revision moved ─►│ advance    synced watches, by group │──► Outlet of each stream
//!  create, cancel ─►│ catch_up   unsynced watches         │
//! HistoryResponse ─►│ supply                              │──► HistoryRequest
//!                   └─────────────────────────────────────┘
//! ```
//!
//! * [`WatchSpec`]: keys, start, filters. Watches live on streams; a stream has one [`Outlet`].
//! * [`Delivery`], [`WatchBatch`], [`Events`]: what comes out.
//! * [`HistoryRequest`], [`HistoryResponse`]: reads of the state file, which may take long; the owner performs them on
//!   a thread of its choice.
//!
//! A watch is *synced* when it has received everything up to the hub's revision, else *unsynced*, with a next
//! revision of its own. There are three reasons to be unsynced: the start lies in the past; the start lies in the
//! future; the stream had no room. Unsynced watches are served together, those furthest behind first, in stretches
//! of history that are read once for all of them. A watch whose stream has no room is *parked*: it takes part in
//! nothing until there is room.
//!
//! What always holds:
//!
//! * A watch gets each change that it selects exactly once, in the order of the revisions, all changes of
//!   one revision in one batch. Or it ends as compacted, if history is gone that it had not received.
//! * The writer of the store waits for nothing in here, and no watch waits for another.
//! * An event is encoded once for each of its two forms, with and without the previous value; watches with
//!   the same selection share the bytes.
//! * [`Hub::advance`] and [`Hub::catch_up`] read only what is in memory, apart from previous values.
//!
//! ```
//! use std::{cell::RefCell, rc::Rc};
//!
//! use ferretcd_backend::{Backend, Batch};
//! use ferretcd_base::{KeyRange, LeaseId};
//! use ferretcd_watch::{Delivery, Hub, Outlet, WatchSpec};
//!
//! #[derive(Clone, Default)]
//! struct Queue(Rc<RefCell<Vec<Delivery>>>);
//!
//! impl Outlet for Queue {
//!     fn has_room(&mut self) -> bool {
//!         true
//!     }
//!     fn deliver(&mut self, delivery: Delivery) {
//!         self.0.borrow_mut().push(delivery);
//!     }
//! }
//!
//! let mut store = ferretcd_mvcc::Store::open(Backend::in_memory(), &ferretcd_mvcc::Config { cache_bytes: 1 << 20 })?;
//! let mut hub = Hub::new(store.reader());
//! let queue = Queue::default();
//! let stream = hub.open(queue.clone(), false);
//! hub.create(stream, WatchSpec::new(KeyRange::Key("color".into())));
//!
//! let mut batch = Batch::default();
//! let mut txn = store.write(&mut batch);
//! txn.put("color".into(), "blue".into(), LeaseId::NONE);
//! txn.commit();
//! hub.advance()?;
//!
//! let deliveries = queue.0.take();
//! assert_eq!(deliveries[0], Delivery::Created { id: 0, revision: 1 });
//! assert!(matches!(&deliveries[1], Delivery::Events(batch) if batch.revision == 2 && batch.events.len() == 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod catch_up;
mod delivery;
mod encoded_changes;
mod events;
mod groups;
mod history;
mod hub;
mod keys;
mod live;
mod ranges;
mod spec;
mod stream;
mod transitions;
mod watcher;

pub use delivery::{CreateError, Delivery, End, Outlet, WatchBatch};
pub use events::Events;
pub use history::{HistoryRequest, HistoryResponse};
pub use hub::{Counts, Hub};
pub use keys::StreamId;
pub use spec::{WatchId, WatchSpec};
