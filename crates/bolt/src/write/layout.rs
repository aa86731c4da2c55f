//! An image in the making: buckets and rows go in, in order, and pages come out, each node after its children.

use std::io::Write;

use bytes::Bytes;

use super::node::{Content, Element};
use super::pages::Pages;
use super::source::Part;
use super::tree::Tree;
use crate::{KEY_BYTES_MAX, Row, RowFault, VALUE_BYTES_MAX, WriteError};

/// The facts about an image that its first pages contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outline {
    /// The page of the tree of buckets.
    pub(super) root: u64,
    /// The number of pages.
    pub(super) mark: u64,
    /// Over all pages but the metas.
    pub(super) crc: u32,
}

#[derive(Debug)]
pub(super) struct Layout<W> {
    pages: Pages<W>,
    /// The tree of buckets.
    top: Tree,
    last_name: Vec<u8>,
    open: Option<OpenBucket>,
}

/// The bucket that rows go into.
#[derive(Debug)]
struct OpenBucket {
    name: Bytes,
    tree: Tree,
    last_key: Vec<u8>,
}

impl<W: Write> Layout<W> {
    pub(super) fn new(pages: Pages<W>) -> Self {
        Self { pages, top: Tree::new(), last_name: Vec::new(), open: None }
    }

    /// Where the pages have gone so far.
    pub(super) fn out(&mut self) -> &mut W {
        self.pages.out()
    }

    pub(super) fn part<E>(&mut self, part: Part) -> Result<(), WriteError<E>> {
        match part {
            Part::Bucket(name) => self.begin(name),
            Part::Row(key, value) => self.row((key, value)),
        }
    }

    /// Ends the bucket before, and begins the one called `name`.
    pub(super) fn begin<E>(&mut self, name: Bytes) -> Result<(), WriteError<E>> {
        self.end()?;
        if let Err(fault) = check_key(&name, &mut self.last_name) {
            return Err(WriteError::Bucket { name, fault });
        }
        self.open = Some(OpenBucket { name, tree: Tree::new(), last_key: Vec::new() });
        Ok(())
    }

    /// Adds a row to the bucket begun last.
    pub(super) fn row<E>(&mut self, (key, value): Row) -> Result<(), WriteError<E>> {
        let Some(OpenBucket { name, tree, last_key }) = &mut self.open else {
            return Err(WriteError::Row { bucket: Bytes::new(), key, fault: RowFault::NoBucket });
        };
        if let Err(fault) = check_key(&key, last_key).and_then(|()| check_value(&value)) {
            return Err(WriteError::Row { bucket: name.clone(), key, fault });
        }
        tree.push(Element { key, content: Content::Row(value) }, &mut self.pages)
    }

    fn end<E>(&mut self) -> Result<(), WriteError<E>> {
        let Some(OpenBucket { name, tree, .. }) = self.open.take() else { return Ok(()) };
        let content = Content::Bucket(tree.finish_bucket(&mut self.pages)?);
        self.top.push(Element { key: name, content }, &mut self.pages)
    }

    /// Writes what is unfinished. Returns the outline of all pages, and where they went.
    pub(super) fn finish<E>(mut self) -> Result<(Outline, W), WriteError<E>> {
        self.end()?;
        let root = self.top.finish(&mut self.pages)?;
        let (mark, crc, out) = self.pages.finish()?;
        Ok((Outline { root, mark, crc }, out))
    }
}

/// Checks that `key` can come behind `last`, and puts it in its place.
fn check_key(key: &[u8], last: &mut Vec<u8>) -> Result<(), RowFault> {
    if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Err(RowFault::KeySize { len: key.len() });
    }
    if key <= &last[..] {
        return Err(RowFault::Order);
    }
    last.clear();
    last.extend_from_slice(key);
    Ok(())
}

fn check_value(value: &[u8]) -> Result<(), RowFault> {
    match value.len() {
        0..=VALUE_BYTES_MAX => Ok(()),
        len => Err(RowFault::ValueSize { len }),
    }
}
