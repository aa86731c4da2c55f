//! Changes of keys.

use bytes::Bytes;
use ferretcd_base::{LeaseId, Revision};

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The change's place in the history.
    pub revision: Revision,
    /// Whether the key was set or deleted.
    pub kind: ChangeKind,
    /// The key.
    pub key: Bytes,
    /// The lease that it was put with; none if it was put without or deleted.
    pub lease: LeaseId,
    /// The row's value as stored: a protobuf `mvccpb.KeyValue`, for a deletion with the key alone.
    pub row: Bytes,
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was created or given another value.
    Put,
    /// It was deleted.
    Delete,
}
