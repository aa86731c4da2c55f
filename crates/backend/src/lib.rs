//! An ordered, bucketed, batched key-value file with snapshot reads.
//!
//! The state file of one member: ten buckets of rows, each a sorted map from bytes to bytes. It knows
//! nothing of what the rows mean, makes no thread, and has no transaction that reads and writes: a
//! writer collects a batch first.
//!
//! * [`Backend`]: the open file. One commit at a time, from any thread.
//! * [`Batch`]: changes that become durable together.
//! * [`View`]: the state after one commit, for any number of readers.
//! * [`Bucket`]: which of the ten maps.
//! * [`Rewrite`]: a smaller file with the same rows, made beside commits, since a file by itself never shrinks.
//! * [`Medium`]: where the bytes live: a file, or a [`MemoryMedium`] that can fail and crash.
//!
//! What always holds:
//!
//! * A commit is atomic and durable when [`Backend::commit`] returns. After a crash at any instant the file
//!   opens with exactly the state of some commit, at least the last one that returned success. Rows that
//!   belong together, such as an effect and the applied index, therefore go into one batch.
//! * Opening takes milliseconds whatever the size, also after a kill.
//! * A failed write or sync ends all commits; the views from before stay readable.
//! * [`Backend::replace`] puts another file under a handle and its clones; views show what they showed before.
//! * After a crash during a rewrite the old file or the new one has the name, and each has the rows of the last commit.
//!
//! The file is redb's; nothing of redb shows in the interface.
//!
//! ```
//! use ferretcd_backend::{Backend, Batch, Bucket};
//!
//! let backend = Backend::in_memory();
//! let before = backend.view();
//! let mut batch = Batch::default();
//! batch.put(Bucket::Key, "a", "1");
//! batch.put(Bucket::Meta, "applied", "7");
//! backend.commit(&batch)?;
//!
//! assert_eq!(backend.view().get(Bucket::Key, b"a")?.as_deref(), Some(&b"1"[..]));
//! assert_eq!(before.get(Bucket::Key, b"a")?, None);
//! # Ok::<(), ferretcd_backend::Error>(())
//! ```

mod backend;
mod batch;
mod bucket;
mod commit;
mod error;
mod file;
mod free_pages;
mod guard;
mod medium;
mod memory;
mod open;
mod open_file;
mod page;
mod rewrite;
mod storage;
mod tables;
mod totals;
mod view;
mod walk;

pub use backend::Backend;
pub use batch::Batch;
pub use bucket::Bucket;
pub use error::{Content, Error, OpenError, RewriteError};
pub use medium::Medium;
pub use memory::MemoryMedium;
pub use open::Config;
pub use rewrite::Rewrite;
pub use view::{Rows, Size, View};
pub use walk::Checked;
