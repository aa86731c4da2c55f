//! Every revision of every key, until compaction.
//!
//! An ordered map with a history: each write transaction that changes something gets the next revision, and
//! any revision not yet compacted can be read. The rows live in a [`ferretcd_backend::Backend`], in etcd's own
//! encoding; the numbers of all keys and the rows of the last moments live in memory.
//!
//! ```text
//!   Store ── write(batch) ──> WriteTxn ── commit ──> Committed { revision, changes, counts }
//!     │                                                  rows into the caller's batch
//!     ├───── compact, scrub                              and into the recent rows
//!     └───── reader ──> Reader ── view ──> ReadView ── range ──> RangeResult { rows, count }
//!                └─ history ─> History { changes, last }
//! ```
//!
//! * [`Store`]: the one writer. It decides nothing about durability: the caller commits the batches.
//! * [`WriteTxn`]: changes that become visible together. Sees its own.
//! * [`Reader`], [`ReadView`]: any number, on any threads, each view at one revision.
//! * [`History`]: the changes of consecutive revisions, in the order in which they happened.
//! * [`Row`]: a key's state, as the bytes of a `mvccpb.KeyValue`, not decoded.
//!
//! What always holds:
//!
//! * A revision is given once and never again; rows never change.
//! * A view shows whole transactions: all up to its revision, nothing of the others.
//! * A row is in the recent rows until it is in the backend's view, so a reader finds it in one of them.
//! * Reads at and above the compacted revision succeed whether or not its rows are removed yet; reads below
//!   fail from the moment the compaction is declared.
//! * The index, revisions and hashes depend on the rows alone, so that a reopened store is the same.
//! * Readers outlive a state: [`Store::restore`] puts another one under them, and a view keeps the one that it
//!   was made of. Nothing reads from both.
//!
//! It knows nothing of leases beyond storing their id, of watchers, users or the network. It starts no
//! thread and looks at no clock.
//!
//! ```
//! use ferretcd_backend::{Backend, Batch};
//! use ferretcd_base::{KeyRange, LeaseId};
//! use ferretcd_mvcc::{Config, RangeOptions, Store};
//!
//! let backend = Backend::in_memory();
//! let mut store = Store::open(backend.clone(), &Config { cache_bytes: 1 << 20 })?;
//! let mut batch = Batch::default();
//!
//! let mut txn = store.write(&mut batch);
//! txn.put("color".into(), "blue".into(), LeaseId::NONE);
//! let committed = txn.commit();
//! assert_eq!(committed.revision, 2);
//!
//! let found = store.reader().view().range(&KeyRange::all(), &RangeOptions::default())?;
//! assert_eq!(&found.rows[0].key_value()?.value[..], b"blue");
//!
//! backend.commit(&batch)?;
//! store.release(committed.revision);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod open;

mod cursor;
mod history;
mod range;
mod read;
mod rest;
mod selection;
mod snapshot;
mod store;
mod write;

mod compact;
mod compactions;
mod hash;
mod hash_kv;
mod markers;
mod raise;

mod arena;
mod change;
mod index;
mod key_index;
mod recent;
mod row;
mod row_cache;
mod shared;
mod stored_rows;
mod tree;

mod error;

pub use change::{Change, ChangeKind};
pub use check::HistoryCheck;
pub use compact::Scrub;
pub use cursor::{Access, RowCursor, Step};
pub use error::{CompactError, Corruption, Error, OpenError, ReadError};
pub use hash::KvHash;
pub use history::{History, HistoryLimit};
pub use index::Extent;
pub use open::Config;
pub use raise::{newest_revision, raise_revision};
pub use range::{RangeOptions, RangeResult, Row};
pub use read::Reader;
pub use selection::{KeyOrder, KeyState, RevisionBounds, RowId, Selection};
pub use snapshot::{ReadView, Snapshot};
pub use store::Store;
pub use write::{Committed, Counts, WriteTxn};
