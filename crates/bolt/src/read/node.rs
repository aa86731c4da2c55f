//! A branch or leaf with all its bytes, taken apart element by element.

use bytes::{Buf, Bytes};

use crate::format::{BRANCH, ELEMENT_BYTES, HEADER_BYTES, Header, LEAF};
use crate::{Fault, KEY_BYTES_MAX};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Branch,
    Leaf,
}

impl Kind {
    pub(crate) fn of(header: Header) -> Result<Self, Fault> {
        match header.flags {
            BRANCH => Ok(Self::Branch),
            LEAF => Ok(Self::Leaf),
            found => Err(Fault::Kind { found }),
        }
    }

    /// The most bytes that a node of this kind is read into memory with. Bolt splits what is larger than a page as
    /// long as two elements are left on each side, so a branch of its own has a page and some keys at most, a leaf a
    /// page and some rows.
    pub(crate) fn bytes_max(self) -> u64 {
        match self {
            Self::Branch => 1 << 20,
            Self::Leaf => 1 << 30,
        }
    }
}

/// Where an element leads.
#[derive(Debug)]
pub(crate) enum Content {
    Leaf { flags: u32, value: Bytes },
    Branch { child: u64 },
}

/// An element of a node, at its position in it.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) index: u16,
    pub(crate) key: Bytes,
    pub(crate) content: Content,
}

/// A node and how far it has been read.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The page to name in errors: its own, or the one it is stored within.
    pub(crate) page: u64,
    pub(crate) kind: Kind,
    pub(crate) count: u16,
    bytes: Bytes,
    next: u16,
    /// Where the data of the next element may begin. What overlapped could be much more than the node has bytes.
    data_start: usize,
}

impl Node {
    /// `bytes` are those of the node as a whole, `header` what they begin with.
    pub(crate) fn new(page: u64, header: Header, bytes: Bytes) -> Result<Self, Fault> {
        let kind = Kind::of(header)?;
        let data_start = HEADER_BYTES + ELEMENT_BYTES * usize::from(header.count);
        if data_start > bytes.len() {
            return Err(Fault::Count { count: header.count });
        }
        Ok(Self { page, kind, count: header.count, bytes, next: 0, data_start })
    }

    /// The next element, or none behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<Element>, Fault> {
        if self.next == self.count {
            return Ok(None);
        }
        let index = self.next;
        self.next += 1;

        let start = HEADER_BYTES + ELEMENT_BYTES * usize::from(index);
        let fields: [u8; ELEMENT_BYTES] =
            *self.bytes[start..].first_chunk().expect("all elements lie before the first data");
        let mut fields = &fields[..];
        let (key, content) = match self.kind {
            Kind::Leaf => {
                let flags = fields.get_u32_le();
                let key = self.key(index, start, fields.get_u32_le(), fields.get_u32_le())?;
                let value = self.data(index, Some(self.data_start), fields.get_u32_le())?;
                (key, Content::Leaf { flags, value })
            }
            Kind::Branch => {
                let key = self.key(index, start, fields.get_u32_le(), fields.get_u32_le())?;
                (key, Content::Branch { child: fields.get_u64_le() })
            }
        };
        Ok(Some(Element { index, key, content }))
    }

    fn key(&mut self, index: u16, start: usize, pos: u32, len: u32) -> Result<Bytes, Fault> {
        let key = self.data(index, start.checked_add(pos as usize), len)?;
        match key.len() {
            1..=KEY_BYTES_MAX => Ok(key),
            len => Err(Fault::KeySize { element: index, len }),
        }
    }

    /// Takes what begins at `start`, unless that is before the end of what was taken last.
    fn data(&mut self, index: u16, start: Option<usize>, len: u32) -> Result<Bytes, Fault> {
        let start = start.filter(|&start| start >= self.data_start);
        let range = start.and_then(|start| Some(start..start.checked_add(len as usize)?));
        let range = range.filter(|range| range.end <= self.bytes.len());
        let range = range.ok_or(Fault::Place { element: index })?;
        self.data_start = range.end;
        Ok(self.bytes.slice(range))
    }
}
