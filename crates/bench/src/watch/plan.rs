//! How many clients watch, what, and how they read.

use crate::requests::{PREFIX, PREFIX_END, Protocol, key};

/// How many watchers there are, of what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// With HTTP/1.1 each stream has a connection and one watch.
    pub(crate) protocol: Protocol,
    pub(crate) connections: usize,
    /// On all connections together.
    pub(crate) streams: usize,
    /// On each stream.
    pub(crate) watches: usize,
    pub(crate) subject: Subject,
    /// 0 stands for what happens after the creation; then the keys must not exist before it.
    pub(crate) start_revision: i64,
    pub(crate) reading: Reading,
}

/// What the clients do with their flow-control windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The server never has to wait for them.
    Always,
    /// Each stream takes 64 KiB, the protocol's initial window, and gives nothing back. What the server sends is
    /// taken off the connection, so that no stream waits for another one.
    Never,
}

/// What the watchers watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// All of them key 0. Its versions count the puts to it, so a gap shows at once.
    OneKey,
    /// Each the key with its own number.
    OwnKey,
    /// All of them every key, in a store where each revision is a put. Revisions have no gap then.
    Everything,
}

impl Subject {
    /// The range of keys of a watcher; without an end it is one key.
    pub(super) fn range(self, watcher: usize) -> (String, String) {
        match self {
            Subject::OneKey => (key(0), String::new()),
            Subject::OwnKey => (key(watcher as u64), String::new()),
            Subject::Everything => (PREFIX.to_owned(), PREFIX_END.to_owned()),
        }
    }
}
