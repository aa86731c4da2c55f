//! Images with chosen bytes.

use crate::naive::u64_at;

const META: usize = 16;
const CHECKSUM: usize = META + 56;

/// Makes the checksum of the meta page at `offset` right again.
pub(crate) fn sign(image: &mut [u8], offset: usize) {
    let summed = &image[offset + META..offset + CHECKSUM];
    let hash = summed.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    image[offset + CHECKSUM..offset + CHECKSUM + 8].copy_from_slice(&hash.to_le_bytes());
}

pub(crate) fn set(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A meta page with a valid checksum.
pub(crate) fn meta(page_bytes: usize, id: u64, root: u64, mark: u64, txid: u64) -> Vec<u8> {
    let mut page = vec![0; page_bytes];
    header(&mut page, id, 4, 0, 0);
    set(&mut page, META, &0xED0C_DAED_u32.to_le_bytes());
    set(&mut page, META + 4, &2u32.to_le_bytes());
    set(&mut page, META + 8, &(page_bytes as u32).to_le_bytes());
    for (at, field) in [(16, root), (32, u64::MAX), (40, mark), (48, txid)] {
        set(&mut page, META + at, &field.to_le_bytes());
    }
    sign(&mut page, 0);
    page
}

pub(crate) fn header(page: &mut [u8], id: u64, flags: u16, count: u16, overflow: u32) {
    set(page, 0, &id.to_le_bytes());
    set(page, 8, &flags.to_le_bytes());
    set(page, 10, &count.to_le_bytes());
    set(page, 12, &overflow.to_le_bytes());
}

/// A leaf page without elements.
pub(crate) fn empty_leaf(page_bytes: usize, id: u64) -> Vec<u8> {
    let mut page = vec![0; page_bytes];
    header(&mut page, id, 2, 0, 0);
    page
}

/// A branch page with the one child `child`, from the key `k` on.
pub(crate) fn branch(page_bytes: usize, id: u64, child: u64) -> Vec<u8> {
    let mut page = vec![0; page_bytes];
    header(&mut page, id, 1, 1, 0);
    set(&mut page, 16, &16u32.to_le_bytes());
    set(&mut page, 20, &1u32.to_le_bytes());
    set(&mut page, 24, &child.to_le_bytes());
    page[32] = b'k';
    page
}

/// The root of the newer state and the number of pages, of an image that this crate wrote.
pub(crate) fn root_and_mark(image: &[u8]) -> (u64, u64) {
    (u64_at(image, 32), u64_at(image, 56))
}
