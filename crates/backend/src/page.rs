//! redb's file format, as far as the checksums of its pages take it.
//!
//! Each commit is a tree: a slot of the header refers to the roots of two trees of tables, their leaves refer to the
//! roots of the tables, and branches to other pages. Each reference carries the checksum of the page that it leads to,
//! and the slot has one of its own. redb compares them only to repair a file; [`Guard`](crate::guard::Guard) does so at each read.

use twox_hash::XxHash3_128;

/// Bytes of the header's page and of the smallest other ones.
pub(crate) const PAGE_BYTES: u64 = 4096;
/// Pages of a region, the unit of page numbers. A file never has another number than the one it was created with.
const REGION_PAGES: u32 = 1 << 20;
/// redb's bound on a page's order, the power of two by which it is larger than the smallest.
pub(crate) const ORDER_MAX: u8 = 20;

const LEAF: u8 = 1;
const BRANCH: u8 = 2;

/// What the rows of a tree are, as far as it matters to where they lie in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// Names and roots of tables.
    Tables,
    /// The rows of a table, with the width of its keys and values where all have the same.
    Rows { key: Option<u32>, value: Option<u32> },
}

/// A page, and what is said of it by the page that refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRef {
    /// Where it begins in the file.
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) checksum: u128,
    pub(crate) tree: Tree,
}

impl PageRef {
    /// From a page number and a checksum. None if no page has that number.
    fn new(number: u64, checksum: u128, tree: Tree) -> Option<Self> {
        let order = number >> 59;
        if order > u64::from(ORDER_MAX) {
            return None;
        }
        let index = number & (0xF_FFFF >> order);
        let region = (number >> 20) & 0xF_FFFF;
        let len = PAGE_BYTES << order;
        let offset = PAGE_BYTES + region * u64::from(REGION_PAGES) * PAGE_BYTES + index * len;
        Some(Self { offset, len, checksum, tree })
    }
}

/// The pages that `page` refers to. None if it does not have the checksum.
pub(crate) fn references(
    page: &[u8],
    tree: Tree,
    has_checksum: impl FnOnce(u128) -> bool,
) -> Option<Vec<PageRef>> {
    let node = Node { page, tree };
    if !has_checksum(XxHash3_128::oneshot(page.get(..node.end()?)?)) {
        return None;
    }
    match (page[0], tree) {
        (BRANCH, _) => node.children(),
        (_, Tree::Tables) => node.tables(),
        (_, Tree::Rows { .. }) => Some(Vec::new()),
    }
}

/// A page of a tree. Its bytes may be anything.
#[derive(Clone, Copy)]
struct Node<'a> {
    page: &'a [u8],
    tree: Tree,
}

impl<'a> Node<'a> {
    fn widths(self) -> (Option<usize>, Option<usize>) {
        match self.tree {
            Tree::Tables => (None, None),
            Tree::Rows { key, value } => (key.map(|n| n as usize), value.map(|n| n as usize)),
        }
    }

    fn at<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        self.page.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }

    fn u32_at(self, offset: usize) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.at(offset)?)).ok()
    }

    /// Number of rows of a leaf, or of keys of a branch; never zero.
    fn n(self) -> Option<usize> {
        Some(usize::from(u16::from_le_bytes(self.at(2)?))).filter(|n| *n > 0)
    }

    /// Where the bytes that count end.
    fn end(self) -> Option<usize> {
        let n = self.n()?;
        match (*self.page.first()?, self.widths()) {
            (LEAF, (_, None)) => self.value_end(n - 1),
            (LEAF, (_, Some(width))) => Some(self.keys_end()? + width * n),
            (BRANCH, (Some(width), _)) => Some(8 + 24 * (n + 1) + width * n),
            (BRANCH, (None, _)) => self.u32_at(8 + 24 * (n + 1) + 4 * (n - 1)),
            _ => None,
        }
    }

    /// Where the keys of a leaf end and its values begin.
    fn keys_end(self) -> Option<usize> {
        let (n, (key, value)) = (self.n()?, self.widths());
        let offsets = if value.is_none() { 4 * n } else { 0 };
        match key {
            Some(width) => Some(4 + offsets + width * n),
            None => self.u32_at(4 + 4 * (n - 1)),
        }
    }

    /// Where the `i`-th value of a leaf ends, if values have different widths.
    fn value_end(self, i: usize) -> Option<usize> {
        let key_offsets = if self.widths().0.is_none() { 4 * self.n()? } else { 0 };
        self.u32_at(4 + key_offsets + 4 * i)
    }

    /// The keys and values of a leaf, if values have different widths.
    fn rows(self) -> Option<Vec<(&'a [u8], &'a [u8])>> {
        let n = self.n()?;
        let width = self.widths().0;
        let mut key = 4 + if width.is_some() { 4 * n } else { 8 * n };
        let mut value = self.keys_end()?;
        let row = |i| {
            let key_end = match width {
                Some(width) => key + width,
                None => self.u32_at(4 + 4 * i)?,
            };
            let value_end = self.value_end(i)?;
            let row = (self.page.get(key..key_end)?, self.page.get(value..value_end)?);
            (key, value) = (key_end, value_end);
            Some(row)
        };
        (0..n).map(row).collect()
    }

    fn children(self) -> Option<Vec<PageRef>> {
        let n = self.n()? + 1;
        let child = |i| {
            let checksum = u128::from_le_bytes(self.at(8 + 16 * i)?);
            PageRef::new(u64::from_le_bytes(self.at(8 + 16 * n + 8 * i)?), checksum, self.tree)
        };
        (0..n).map(child).collect()
    }

    /// The roots of the tables that have any rows.
    fn tables(self) -> Option<Vec<PageRef>> {
        let roots = self.rows()?.into_iter().map(|(_, definition)| table_root(definition));
        Some(roots.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

/// Whether rows are in the page itself, and not in those that it refers to.
pub(crate) fn is_leaf(page: &[u8]) -> bool {
    page.first() == Some(&LEAF)
}

/// The root of the table called `name`, if it is in this leaf of a tree of tables.
pub(crate) fn table(page: &[u8], name: &[u8]) -> Option<PageRef> {
    let mut rows = Node { page, tree: Tree::Tables }.rows()?.into_iter();
    rows.find(|(found, _)| *found == name).and_then(|(_, definition)| table_root(definition)?)
}

/// The keys and values in a leaf of a tree whose values have different widths.
pub(crate) fn rows(page: &[u8], tree: Tree) -> Option<Vec<(&[u8], &[u8])>> {
    Node { page, tree }.rows()
}

/// The root in the definition of a table; some none for an empty one.
fn table_root(definition: &[u8]) -> Option<Option<PageRef>> {
    const NORMAL: u8 = 3;
    let definition = Node { page: definition, tree: Tree::Tables };
    let width = |at: usize| {
        let [has_width, width @ ..] = definition.at::<5>(at)?;
        Some((has_width != 0).then_some(u32::from_le_bytes(width)))
    };
    let [kind] = definition.at(0)?;
    if kind != NORMAL {
        return None;
    }
    let rows = Tree::Rows { key: width(42)?, value: width(47)? };
    root(definition.page.get(9..)?, rows)
}

/// A root behind a byte that says whether there is one.
fn root(bytes: &[u8], tree: Tree) -> Option<Option<PageRef>> {
    let node = Node { page: bytes, tree };
    match node.at(0)? {
        [0] => Some(None),
        _ => root_at(node, 1).map(Some),
    }
}

fn root_at(node: Node<'_>, offset: usize) -> Option<PageRef> {
    let number = u64::from_le_bytes(node.at(offset)?);
    PageRef::new(number, u128::from_le_bytes(node.at(offset + 8)?), node.tree)
}

/// What a file of redb begins with.
pub(crate) const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 320;
const SLOT_BYTES: usize = 128;

/// The roots of the last commit, by the header of a file of `len` bytes. Errs with the contradiction if the header
/// says what redb has not written.
pub(crate) fn roots(header: &[u8; HEADER_BYTES], len: u64) -> Result<Vec<PageRef>, &'static str> {
    const SECOND_SLOT: u8 = 1;
    const ALL_FLAGS: u8 = 7;
    const TWO_PHASES: u8 = 4;
    if !header.starts_with(&MAGIC) {
        return Err("it does not begin like a state file");
    }
    let node = Node { page: header, tree: Tree::Tables };
    let number = |at| node.u32_at(at).map_or(0, |n| n as u64);
    let flags = header[9];
    if flags & !ALL_FLAGS != 0 {
        return Err("its header has flags that do not exist");
    }
    if (number(12), number(16), number(20)) != (PAGE_BYTES, 0, REGION_PAGES.into()) {
        return Err("its header has another page size than any state file");
    }
    // The file grows before the header says so, and shrinks after it.
    let pages = number(24) * u64::from(REGION_PAGES) + number(28);
    if !len.is_multiple_of(PAGE_BYTES) || len / PAGE_BYTES < pages + 1 {
        return Err("it is shorter than its header says");
    }
    let slots = [Slot::parse(&header[64..]), Slot::parse(&header[64 + SLOT_BYTES..])];
    if slots.iter().any(|slot| !slot.is_whole && slot.version != Slot::VERSION) {
        return Err("a commit slot of its header does not match its checksum");
    }
    // As redb chooses: by the flag, or where both phases of a commit were one, the newer. A named slot that is the older
    // one is what a crash between the phases leaves, or a damaged flag; the log has what is missing.
    let [named, other] = if flags & SECOND_SLOT == 0 {
        slots
    } else {
        let [a, b] = slots;
        [b, a]
    };
    let is_named =
        flags & TWO_PHASES != 0 || named.is_whole && (!other.is_whole || other.commit <= named.commit);
    let slot = if is_named { named } else { other };
    if !slot.is_whole {
        return Err("the commit slot of its header does not match its checksum");
    }
    slot.roots.ok_or("its header refers to a page that cannot exist")
}

/// One of the two places in the header for the newest commit and the one before.
struct Slot {
    version: u8,
    /// Whether it has its checksum.
    is_whole: bool,
    /// Commits are counted upwards.
    commit: u64,
    roots: Option<Vec<PageRef>>,
}

impl Slot {
    const VERSION: u8 = 3;

    fn parse(bytes: &[u8]) -> Self {
        let (content, checksum) = bytes[..SLOT_BYTES].split_at(SLOT_BYTES - 16);
        let node = Node { page: content, tree: Tree::Tables };
        let roots = [(1, 8), (2, 40)].into_iter().filter(|(flag, _)| content[*flag] != 0);
        Self {
            version: content[0],
            is_whole: XxHash3_128::oneshot(content).to_le_bytes() == checksum,
            commit: node.at(104).map_or(0, u64::from_le_bytes),
            roots: roots.map(|(_, at)| root_at(node, at)).collect(),
        }
    }
}
