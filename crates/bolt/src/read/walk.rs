//! Goes through a tree from its first leaf element to its last.
//!
//! Whatever the pages say, a walk ends: keys must ascend, so a leaf can be met once; each branch leads to a leaf; and
//! all nodes together have no more pages than the image, so that pages of overlapping nodes do not count twice.

use bytes::Bytes;

use super::image::Image;
use super::node::{Content, Kind, Node};
use super::pages::Pages;
use crate::{Fault, ReadError};

/// With two elements in each branch, as bolt's have, a tree of this depth has more pages than fit on any disk.
const DEPTH_MAX: usize = 64;

/// A leaf element and the page it is on.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) page: u64,
    pub(super) key: Bytes,
    pub(super) value: Bytes,
}

#[derive(Debug)]
pub(super) struct Walk<'r, I> {
    pages: &'r Pages<I>,
    /// The kind that every leaf element must have.
    flags: u32,
    /// The root and the page that refers to it, until it is read.
    root: Option<(u64, u64)>,
    /// The nodes from the root down to the current one.
    path: Vec<Node>,
    n_pages_left: u64,
    /// The key before the current one; empty at first.
    last: Vec<u8>,
    /// The lower bound of the next key, from the branches above; empty if there is none.
    floor: Vec<u8>,
}

impl<'r, I: Image> Walk<'r, I> {
    /// The tree whose root is `page`, which page `from` refers to.
    pub(super) fn from_page(pages: &'r Pages<I>, flags: u32, from: u64, page: u64) -> Self {
        Self { root: Some((from, page)), ..Self::from_node(pages, flags, None) }
    }

    /// The tree that consists of `leaf`; nothing without one.
    pub(super) fn from_node(pages: &'r Pages<I>, flags: u32, leaf: Option<Node>) -> Self {
        let path = leaf.into_iter().collect();
        let n_pages_left = pages.n_pages();
        Self { pages, flags, root: None, path, n_pages_left, last: Vec::new(), floor: Vec::new() }
    }

    pub(super) fn pages(&self) -> &'r Pages<I> {
        self.pages
    }

    /// The next element. After an error there are none.
    pub(super) fn next(&mut self) -> Option<Result<Found, ReadError>> {
        let found = self.try_next().transpose()?;
        if found.is_err() {
            self.stop();
        }
        Some(found)
    }

    /// Ends the walk.
    pub(super) fn stop(&mut self) {
        self.root = None;
        self.path.clear();
    }

    fn try_next(&mut self) -> Result<Option<Found>, ReadError> {
        if let Some((from, page)) = self.root.take() {
            self.descend(from, page)?;
        }
        while let Some(node) = self.path.last_mut() {
            let page = node.page;
            let Some(element) = node.next().map_err(|fault| fault.at(page))? else {
                self.path.pop();
                continue;
            };
            let index = element.index;
            if element.key <= self.last[..] || element.key < self.floor[..] {
                return Err(Fault::Order { element: index }.at(page));
            }
            match element.content {
                Content::Branch { child } => {
                    set(&mut self.floor, &element.key);
                    self.descend(page, child)?;
                }
                Content::Leaf { flags, value } => {
                    let expected = self.flags;
                    if flags != expected {
                        return Err(Fault::ElementFlags { element: index, flags, expected }.at(page));
                    }
                    set(&mut self.last, &element.key);
                    self.floor.clear();
                    return Ok(Some(Found { page, key: element.key, value }));
                }
            }
        }
        Ok(None)
    }

    fn descend(&mut self, from: u64, page: u64) -> Result<(), ReadError> {
        self.pages.check_reference(from, page)?;
        let depth = self.path.len();
        if depth == DEPTH_MAX {
            return Err(Fault::Depth { depth }.at(page));
        }
        let node = self.pages.node(page, &mut self.n_pages_left)?;
        // Only a tree without rows has an empty node: its root.
        if node.count == 0 && (depth > 0 || node.kind == Kind::Branch) {
            return Err(Fault::Empty.at(page));
        }
        self.path.push(node);
        Ok(())
    }
}

/// Copies, because a slice of a node would keep all of it in memory.
fn set(key: &mut Vec<u8>, new: &[u8]) {
    key.clear();
    key.extend_from_slice(new);
}
