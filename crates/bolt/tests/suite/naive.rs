//! A reader that trusts every byte, written apart from the crate, and stricter about the form of trees: what bolt
//! itself relies on when it goes on writing a file.

use std::collections::BTreeSet;

use crate::common::{Buckets, Rows};

const PAGE_BYTES: usize = 4096;

struct Naive<'a> {
    image: &'a [u8],
    mark: u64,
    used: BTreeSet<u64>,
}

struct Leaf<'a> {
    flags: u32,
    key: &'a [u8],
    value: &'a [u8],
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Rows of an image; panics unless each page is used exactly once and each tree has the form that bolt gives it.
pub(crate) fn read(image: &[u8]) -> Buckets {
    let (root, mark) = (u64_at(image, 32), u64_at(image, 56));
    assert_eq!(image.len() as u64, mark * PAGE_BYTES as u64);
    let mut naive = Naive { image, mark, used: BTreeSet::from([0, 1]) };
    let mut entries = Vec::new();
    naive.tree(root, true, &mut entries);
    let mut buckets = Buckets::new();
    for entry in entries {
        assert_eq!(entry.flags, 1);
        let mut leaves = Vec::new();
        match u64_at(entry.value, 0) {
            0 => {
                let node = &entry.value[16..];
                assert_eq!((u64_at(node, 0), u32_at(node, 12)), (0, 0));
                let end = leaf(node, &mut leaves);
                assert_eq!(end, node.len(), "no padding");
                assert!(node.len() <= PAGE_BYTES / 4);
            }
            root => {
                naive.tree(root, true, &mut leaves);
                let inline: usize =
                    16 + leaves.iter().map(|l| 16 + l.key.len() + l.value.len()).sum::<usize>();
                assert!(inline > PAGE_BYTES / 4);
            }
        }
        assert!(leaves.iter().all(|leaf| leaf.flags == 0));
        let rows: Rows =
            leaves.iter().map(|leaf| (leaf.key.to_vec().into(), leaf.value.to_vec().into())).collect();
        assert_eq!(rows.len(), leaves.len());
        buckets.insert(entry.key.to_vec().into(), rows);
    }
    assert_eq!(naive.used, (0..mark).collect());
    buckets
}

impl<'a> Naive<'a> {
    /// Appends the leaf elements below `page`; returns first key and height.
    fn tree(&mut self, page: u64, is_root: bool, leaves: &mut Vec<Leaf<'a>>) -> (&'a [u8], usize) {
        let start = page as usize * PAGE_BYTES;
        assert_eq!(u64_at(self.image, start), page);
        let n_pages = 1 + u64::from(u32_at(self.image, start + 12));
        for page in page..page + n_pages {
            assert!(page < self.mark && self.used.insert(page), "page {page} is used twice");
        }
        let node = &self.image[start..start + n_pages as usize * PAGE_BYTES];
        let count = usize::from(u16_at(node, 10));
        match u16_at(node, 8) {
            2 => {
                assert!(is_root || count > 0);
                let first = leaves.len();
                let end = leaf(node, leaves);
                assert_eq!(end.div_ceil(PAGE_BYTES).max(1), n_pages as usize);
                assert!(n_pages == 1 || count == 1, "overflow pages are for large rows");
                assert!(node[end..].iter().all(|byte| *byte == 0));
                (leaves.get(first).map_or(&[], |leaf| leaf.key), 0)
            }
            1 => {
                assert!(count >= 2, "bolt relies on siblings");
                let mut heights = BTreeSet::new();
                let mut keys = Vec::new();
                for element in (16..).step_by(16).take(count) {
                    let key_at = element + u32_at(node, element) as usize;
                    let key = &node[key_at..key_at + u32_at(node, element + 4) as usize];
                    let (first, height) = self.tree(u64_at(node, element + 8), false, leaves);
                    assert_eq!(first, key);
                    heights.insert(height);
                    keys.push(key);
                }
                assert_eq!(heights.len(), 1, "all leaves are on one level");
                (keys[0], heights.pop_first().unwrap() + 1)
            }
            flags => panic!("page {page} has flags {flags}"),
        }
    }
}

/// Appends the elements of a leaf; returns where the last one's data ends.
fn leaf<'a>(node: &'a [u8], leaves: &mut Vec<Leaf<'a>>) -> usize {
    let count = usize::from(u16_at(node, 10));
    let mut end = 16 + 16 * count;
    for element in (16..).step_by(16).take(count) {
        let key_at = element + u32_at(node, element + 4) as usize;
        assert_eq!(key_at, end);
        let value_at = key_at + u32_at(node, element + 8) as usize;
        end = value_at + u32_at(node, element + 12) as usize;
        leaves.push(Leaf {
            flags: u32_at(node, element),
            key: &node[key_at..value_at],
            value: &node[value_at..end],
        });
    }
    end
}
