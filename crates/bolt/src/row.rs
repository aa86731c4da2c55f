//! Rows, and the limits of an image.

use bytes::Bytes;

/// A key and its value.
pub type Row = (Bytes, Bytes);

/// Largest key, or name of a bucket, in bytes.
pub const KEY_BYTES_MAX: usize = 32768;

/// Largest value that is written, in bytes: nothing larger travels between etcd's members.
pub const VALUE_BYTES_MAX: usize = 512 << 20;

/// How many buckets an image may have. etcd's have ten; a hostile one could give each of many thousand all the pages
/// there are.
pub const BUCKETS_MAX: usize = 64;
