//! The tables of fields that both sides of a connection know (RFC 7541, 2.3 and 4).

use std::collections::VecDeque;

use bytes::Bytes;

use super::block::Fate;
use super::hpack::{Malformed, write_integer};

/// The number of `:authority` in the static table.
pub(super) const AUTHORITY: usize = 1;
/// Bytes of the dynamic table at most: what HTTP/2 begins with, and no setting of this server changes.
const BYTES_MAX: usize = 4096;
/// What an entry counts besides its name and value.
pub(super) const ENTRY_BYTES: usize = 32;

/// A field of the dynamic table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: EntryName,
    /// As it was sent.
    pub(super) value: Bytes,
    /// Bytes of the value, decoded.
    pub(super) value_bytes: usize,
    pub(super) fate: Fate,
}

/// The name of a field.
#[derive(Clone, Debug)]
pub(super) enum EntryName {
    /// That of a field of the static table.
    Static(usize),
    /// As it was sent, and its bytes, decoded.
    Spelled(Bytes, usize),
}

impl EntryName {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Static(index) => STATIC_NAMES[*index - 1].len(),
            Self::Spelled(_, bytes) => *bytes,
        }
    }

    /// Begins a literal that is not remembered.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Static(index) => write_integer(*index, 4, 0, out),
            Self::Spelled(name, _) => {
                out.push(0);
                out.extend_from_slice(name);
            }
        }
    }
}

impl Entry {
    /// What it counts, in the table as in a list of fields.
    pub(super) fn bytes(&self) -> usize {
        ENTRY_BYTES + self.name.bytes() + self.value_bytes
    }
}

/// The dynamic table: the fields that the client has sent to be remembered. The newest is the first.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max: BYTES_MAX }
    }
}

impl Table {
    /// The entry of a number; `None` for those of the static table.
    pub(super) fn get(&self, index: usize) -> Result<Option<&Entry>, Malformed> {
        match index.checked_sub(STATIC_NAMES.len() + 1) {
            Some(index) => self.entries.get(index).map(Some).ok_or(Malformed),
            None if index == 0 => Err(Malformed),
            None => Ok(None),
        }
    }

    /// Makes room and adds an entry; one that is larger than the table empties it.
    pub(super) fn insert(&mut self, entry: Entry) {
        let bytes = entry.bytes();
        self.shrink(self.bytes_max.saturating_sub(bytes));
        if bytes <= self.bytes_max {
            self.bytes += bytes;
            self.entries.push_front(entry);
        }
    }

    /// Takes at most that many bytes from now on.
    pub(super) fn resize(&mut self, bytes_max: usize) -> Result<(), Malformed> {
        if bytes_max > BYTES_MAX {
            return Err(Malformed);
        }
        self.bytes_max = bytes_max;
        self.shrink(bytes_max);
        Ok(())
    }

    fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.bytes -= oldest.bytes();
        }
    }
}

/// The names of the static table, from number 1 on.
pub(super) const STATIC_NAMES: [&str; 61] = [
    ":authority",
    ":method",
    ":method",
    ":path",
    ":path",
    ":scheme",
    ":scheme",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
];
