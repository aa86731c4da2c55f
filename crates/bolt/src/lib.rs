//! Bolt files as streams: the format of etcd's database, and of the snapshots that etcd hands out.
//!
//! The crate turns sorted rows into an image and an image into sorted rows. It changes no file in place, reads no
//! nested buckets and at most [`BUCKETS_MAX`] of the others, and knows nothing of what rows mean. It is not a
//! database: bbolt-rs, the port of one, follows unchecked positions in files that it maps into memory and writes only its
//! own files, while here the bytes may be hostile and the image may have to go into a socket.
//!
//! - [`Source`] is what an image is made of: sorted buckets of sorted rows that can be read twice.
//! - [`Plan`] is the outcome of the first reading: how the image will be laid out, so how large it is.
//!   [`Plan::write`] reads again and writes the image in one pass; [`Plan::stream`] does so as it is read itself, of
//!   [`Part`]s that come by themselves.
//! - [`Reader`] walks an [`Image`], a file or bytes in memory. A [`Bucket`] of it gives its [`Rows`]. A reader is a
//!   source, too: writing it out again leaves free pages behind.
//! - [`HashWriter`] and [`check_trailer`] are for the SHA-256 behind an image that makes it a snapshot file.
//!
//! # Invariants
//!
//! - Reading never panics and always ends, whatever the bytes. The rows of one bucket come from no more pages than
//!   the image has, so a small image cannot pretend to hold much. What is wrong is named with its page.
//! - Rows come out in strictly ascending order of their keys, and only such rows go in.
//! - Memory does not grow with the number of rows. Reading holds one leaf and the branches above it, writing one
//!   unfinished node of each level.
//! - Equal rows give equal images, to the bit.
//!
//! # Example
//!
//! ```
//! use std::collections::BTreeMap;
//! use bytes::Bytes;
//! use ferretcd_bolt::{Plan, Reader};
//!
//! let lease = BTreeMap::from([(Bytes::from("a"), Bytes::from("1")), ("b".into(), "2".into())]);
//! let source = BTreeMap::from([(Bytes::from("key"), BTreeMap::new()), ("lease".into(), lease)]);
//!
//! let plan = Plan::new(&source)?;
//! let mut image = Vec::new();
//! plan.write(&source, &mut image)?;
//! assert_eq!(image.len() as u64, plan.size());
//!
//! let reader = Reader::open(&image[..])?;
//! assert_eq!(reader.buckets().count(), 2);
//! let bucket = reader.bucket(b"lease")?.expect("it was written");
//! let rows: Vec<_> = bucket.rows().collect::<Result<_, _>>()?;
//! assert_eq!(rows, [("a".into(), "1".into()), ("b".into(), "2".into())]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod format;
mod row;

mod read;

mod write;

mod trailer;

mod error;

pub use error::{Fault, ReadError, RowFault, WriteError};
pub use read::{Bucket, Buckets, Image, Reader, Rows};
pub use row::{BUCKETS_MAX, KEY_BYTES_MAX, Row, VALUE_BYTES_MAX};
pub use trailer::{HashWriter, TRAILER_BYTES, Trailer, check_trailer};
pub use write::{Part, Plan, Source, Stream};
