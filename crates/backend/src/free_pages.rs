//! How much of a file is free, by the map of free pages that each commit leaves in it for the next open.
//!
//! redb tells the number only by a walk through all pages.

use crate::page::{self, ORDER_MAX, PAGE_BYTES, Tree};
use crate::walk::{self, roots};
use crate::{Error, Medium};

/// What no map has.
const HEADER_PAGES: u64 = 1;
/// The table of the maps, one for each region of the file.
const TABLE: &[u8] = b"allocator_state";
/// What the keys of the maps begin with.
const REGION: u8 = 3;

/// Bytes of the pages that the last commit has left free; pages that it has freed itself are not among them. Zero if the
/// commit has left no map. Reads a few pages, and two bits for each page of the file.
pub(crate) fn bytes(medium: &dyn Medium) -> Result<u64, Error> {
    let (mut left, len) = roots(medium)?;
    let (mut buffer, mut n_free, mut n_pages) = (Vec::new(), 0, 0);
    while let Some(page) = left.pop() {
        let mut references = walk::read(medium, &page, &mut buffer)?;
        if !page::is_leaf(&buffer) {
            left.append(&mut references);
        } else if page.tree == Tree::Tables {
            left.extend(page::table(&buffer, TABLE));
        } else {
            let maps = page::rows(&buffer, page.tree).unwrap_or_default();
            for (_, map) in maps.into_iter().filter(|(key, _)| key.first() == Some(&REGION)) {
                n_free += free_in(map).unwrap_or(0);
                n_pages += u32_at(map, 4).unwrap_or(0) as u64;
            }
        }
    }
    // The last commit before redb closes a file cuts off free pages at its end, which the map still has.
    let n_cut_off = n_pages.saturating_sub((len / PAGE_BYTES).saturating_sub(HEADER_PAGES));
    Ok(n_free.saturating_sub(n_cut_off) * PAGE_BYTES)
}

/// The number of free pages in the map of a region: the highest order of pages, the number of pages, and a tree of bits for
/// each order, each with an end.
/// None if it is no map.
fn free_in(map: &[u8]) -> Option<u64> {
    let highest = map.first().filter(|order| **order <= ORDER_MAX)?;
    let orders = usize::from(*highest) + 1;
    let mut start = 8 + 4 * orders;
    let mut n_free = 0;
    for order in 0..orders {
        let end = u32_at(map, 8 + 4 * order)?;
        n_free += unset_in(map.get(start..end)?)? << order;
        start = end;
    }
    Some(n_free)
}

/// The number of clear bits in the last level of a tree of bits: its levels have ends as well, and each a length.
fn unset_in(tree: &[u8]) -> Option<u64> {
    let n_levels = u32_at(tree, 0)?;
    let end = u32_at(tree, 4 * n_levels)?;
    let start = if n_levels > 1 { u32_at(tree, 4 * (n_levels - 1))? } else { 4 + 4 * n_levels };
    let bits = tree.get(start + 4..end)?;
    Some(bits.iter().map(|byte| u64::from(byte.count_zeros())).sum())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The map of a region whose highest order is `highest`, with 32 free pages of each.
    fn map(highest: u8) -> Vec<u8> {
        let orders = u32::from(highest) + 1;
        let tree = [1_u32, 16, 0, 0].map(u32::to_le_bytes).concat();
        let ends = (1..=orders).map(|n| 8 + 4 * orders + n * tree.len() as u32);
        let mut map = vec![highest, 0, 0, 0, 0, 0, 0, 0];
        map.extend(ends.flat_map(u32::to_le_bytes));
        map.extend(tree.repeat(orders as usize));
        map
    }

    #[test]
    fn a_map_has_redbs_orders() {
        assert_eq!(free_in(&map(0)), Some(32));
        assert_eq!(free_in(&map(2)), Some(32 * 7));
        assert_eq!(free_in(&map(20)), Some(32 * ((1 << 21) - 1)));
        for highest in [21, 63, 64, 255] {
            assert_eq!(free_in(&map(highest)), None);
        }
    }

    #[test]
    fn no_bytes_are_too_wrong() {
        let whole = map(3);
        for len in 0..whole.len() {
            assert_eq!(free_in(&whole[..len]), None);
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 127, 255] {
                let mut wrong = whole.clone();
                wrong[at] = byte;
                free_in(&wrong);
            }
        }
        assert_eq!(free_in(&[255; 4096]), None);
    }
}
