//! Builds a tree from elements in order: a node is written when the next element does not fit, and known to the level
//! above by its first key.

use std::io::Write;

use bytes::Bytes;

use super::node::{Content, Element, Node};
use super::pages::Pages;
use crate::WriteError;
use crate::format::{BUCKET_BYTES, PAGE_BYTES};

/// The node being filled on each level, leaves first.
#[derive(Debug)]
pub(super) struct Tree {
    levels: Vec<Node>,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { levels: vec![Node::leaf()] }
    }

    /// Takes the next leaf element.
    pub(super) fn push<E>(
        &mut self,
        element: Element,
        pages: &mut Pages<impl Write>,
    ) -> Result<(), WriteError<E>> {
        self.push_at(0, element, pages)
    }

    fn push_at<E>(
        &mut self,
        level: usize,
        element: Element,
        pages: &mut Pages<impl Write>,
    ) -> Result<(), WriteError<E>> {
        if level == self.levels.len() {
            self.levels.push(Node::branch());
        }
        let node = &mut self.levels[level];
        if node.has_room_for(&element) {
            node.push(element);
            return Ok(());
        }
        let full = node.take_full();
        node.push(element);
        self.write(level, &full, pages)
    }

    /// Writes a node of `level` that has elements, and adds it to the level above.
    fn write<E>(
        &mut self,
        level: usize,
        node: &Node,
        pages: &mut Pages<impl Write>,
    ) -> Result<(), WriteError<E>> {
        // A copy, because a slice could keep a large row in memory.
        let key = Bytes::copy_from_slice(node.first_key().expect("the node has elements"));
        let content = Content::Child(pages.write(node)?);
        self.push_at(level + 1, Element { key, content }, pages)
    }

    /// Writes what is unfinished. Returns the root's page.
    pub(super) fn finish<E>(mut self, pages: &mut Pages<impl Write>) -> Result<u64, WriteError<E>> {
        let mut level = 0;
        // Every level but the highest has written a node, so the one above has at least two elements in the end.
        while level + 1 < self.levels.len() {
            let last = std::mem::replace(&mut self.levels[level], Node::leaf());
            self.write(level, &last, pages)?;
            level += 1;
        }
        pages.write(&self.levels[level])
    }

    /// Writes what is unfinished, unless all of it is small enough to be part of the bucket's entry. Returns the value
    /// of that entry.
    pub(super) fn finish_bucket<E>(self, pages: &mut Pages<impl Write>) -> Result<Bytes, WriteError<E>> {
        const INLINE_BYTES_MAX: usize = PAGE_BYTES / 4;
        let inline = match &self.levels[..] {
            [leaf] if leaf.n_bytes() <= INLINE_BYTES_MAX => Some(entry(0, Some(leaf))),
            _ => None,
        };
        match inline {
            Some(entry) => Ok(entry),
            None => Ok(entry(self.finish(pages)?, None)),
        }
    }
}

fn entry(root: u64, inline: Option<&Node>) -> Bytes {
    let mut entry = Vec::with_capacity(BUCKET_BYTES + inline.map_or(0, Node::n_bytes));
    entry.extend_from_slice(&root.to_le_bytes());
    entry.extend_from_slice(&0u64.to_le_bytes()); // sequence
    if let Some(leaf) = inline {
        leaf.put(0, 0, &mut entry);
    }
    entry.into()
}
