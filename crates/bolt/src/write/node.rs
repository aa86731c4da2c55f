//! A node that is being filled.

use bytes::{BufMut, Bytes};

use crate::format::{BRANCH, BUCKET, ELEMENT_BYTES, HEADER_BYTES, Header, LEAF, PAGE_BYTES, ROW};

/// The content of an element.
#[derive(Debug)]
pub(super) enum Content {
    Row(Bytes),
    Bucket(Bytes),
    Child(u64),
}

#[derive(Debug)]
pub(super) struct Element {
    pub(super) key: Bytes,
    pub(super) content: Content,
}

impl Element {
    /// The bytes of the element in its node.
    fn n_bytes(&self) -> usize {
        ELEMENT_BYTES + self.key.len() + self.value().len()
    }

    fn value(&self) -> &[u8] {
        match &self.content {
            Content::Row(value) | Content::Bucket(value) => value,
            Content::Child(_) => &[],
        }
    }

    /// `pos` is how far behind the element's start its key will lie.
    fn put(&self, pos: usize, out: &mut Vec<u8>) {
        let size = |bytes: usize| u32::try_from(bytes).expect("keys and values are limited");
        let flags = match self.content {
            Content::Row(_) => ROW,
            Content::Bucket(_) => BUCKET,
            Content::Child(page) => {
                out.put_u32_le(size(pos));
                out.put_u32_le(size(self.key.len()));
                out.put_u64_le(page);
                return;
            }
        };
        out.put_u32_le(flags);
        out.put_u32_le(size(pos));
        out.put_u32_le(size(self.key.len()));
        out.put_u32_le(size(self.value().len()));
    }
}

#[derive(Debug)]
pub(super) struct Node {
    is_branch: bool,
    elements: Vec<Element>,
    n_bytes: usize,
}

impl Node {
    pub(super) fn leaf() -> Self {
        Self { is_branch: false, elements: Vec::new(), n_bytes: HEADER_BYTES }
    }

    pub(super) fn branch() -> Self {
        Self { is_branch: true, ..Self::leaf() }
    }

    /// Without padding.
    pub(super) fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    pub(super) fn first_key(&self) -> Option<&Bytes> {
        self.elements.first().map(|element| &element.key)
    }

    /// Whether `element` should come into this node. A row too large for any page has a leaf of its own. A branch may
    /// grow beyond a page, too: it must keep two elements after [`Node::take_full`].
    pub(super) fn has_room_for(&self, element: &Element) -> bool {
        let n_elements_min = if self.is_branch { 3 } else { 1 };
        self.elements.len() < n_elements_min || self.n_bytes + element.n_bytes() <= PAGE_BYTES
    }

    pub(super) fn push(&mut self, element: Element) {
        self.n_bytes += element.n_bytes();
        self.elements.push(element);
    }

    /// Leaves the beginning of the next node in place of this one. That of a branch already has an element: bolt
    /// relies on no branch having a single child, and the next element may be the last.
    pub(super) fn take_full(&mut self) -> Self {
        let mut next = if self.is_branch { Self::branch() } else { Self::leaf() };
        if self.is_branch {
            let last = self.elements.pop().expect("a full branch has three elements");
            self.n_bytes -= last.n_bytes();
            next.push(last);
        }
        std::mem::replace(self, next)
    }

    /// Appends the node as page `id`, with `overflow` pages behind it, without padding.
    pub(super) fn put(&self, id: u64, overflow: u32, out: &mut Vec<u8>) {
        let flags = if self.is_branch { BRANCH } else { LEAF };
        let count = u16::try_from(self.elements.len()).expect("a page has room for some hundred elements");
        Header { id, flags, count, overflow }.put(out);
        let mut start = out.len();
        let mut data = start + ELEMENT_BYTES * self.elements.len();
        for element in &self.elements {
            element.put(data - start, out);
            start += ELEMENT_BYTES;
            data += element.key.len() + element.value().len();
        }
        for element in &self.elements {
            out.put_slice(&element.key);
            out.put_slice(element.value());
        }
    }
}
