//! Each fault, with the page it is found on.

use std::io;

use bytes::Bytes;
use ferretcd_bolt::{BUCKETS_MAX, Fault, Image, ReadError, Reader};

use crate::bytewise::{branch, empty_leaf, header, meta, root_and_mark, set, sign};
use crate::common::{Rows, buckets, image, read, rows};

const PAGE: usize = 4096;

/// Pages: 0 and 1 metas; 2, 3, 4 leaves of three rows; 5 their branch; 6 the buckets `inline` and `key`.
fn small() -> Vec<u8> {
    let image = image(&buckets([("inline", rows(2, 10)), ("key", rows(9, 1300))]));
    assert_eq!(root_and_mark(&image), (6, 7));
    image
}

fn fault_of<T: std::fmt::Debug>(outcome: Result<T, ReadError>) -> (u64, Fault) {
    match outcome {
        Err(ReadError::Corrupt { page, fault }) => (page, fault),
        other => panic!("{other:?}"),
    }
}

/// Sets bytes of page `on`, and expects to find the fault on page `found`.
fn check(on: usize, at: usize, bytes: &[u8], found: u64, fault: Fault) {
    let mut image = small();
    set(&mut image, on * PAGE + at, bytes);
    assert_eq!(fault_of(read(&image[..])), (found, fault), "{bytes:?} at {at} of page {on}");
}

/// The position of a field of element `i` in its page.
fn field(i: usize, field: usize) -> usize {
    16 + 16 * i + 4 * field
}

#[test]
fn wrong_page_headers_are_rejected() {
    check(2, 0, &[9], 2, Fault::OwnId { found: 9 });
    check(2, 8, &[0], 2, Fault::Kind { found: 0 });
    check(2, 8, &[3], 2, Fault::Kind { found: 3 });
    check(6, 8, &[16], 6, Fault::Kind { found: 16 });
    check(4, 12, &[3], 4, Fault::Overflow { overflow: 3 });
    check(4, 12, &[0xff; 4], 4, Fault::Overflow { overflow: u32::MAX });
    check(4, 10, &[0, 1], 4, Fault::Count { count: 256 });
    check(4, 10, &[0], 4, Fault::Empty);
    check(5, 10, &[0], 5, Fault::Empty);
}

#[test]
fn misplaced_elements_are_rejected() {
    check(3, field(0, 1), &[0xff; 4], 3, Fault::Place { element: 0 });
    check(3, field(2, 3), &[0xff; 4], 3, Fault::Place { element: 2 });
    check(3, field(2, 2), &[0xff; 4], 3, Fault::Place { element: 2 });
    check(5, field(1, 1), &[0xff; 4], 5, Fault::Place { element: 1 });
    // Into the elements, and into the data of the one before.
    check(3, field(0, 1), &47u32.to_le_bytes(), 3, Fault::Place { element: 0 });
    check(3, field(1, 1), &32u32.to_le_bytes(), 3, Fault::Place { element: 1 });
    check(3, field(1, 2), &[0], 3, Fault::KeySize { element: 1, len: 0 });
    check(5, field(1, 1), &[0], 5, Fault::KeySize { element: 1, len: 0 });
}

#[test]
fn unordered_keys_are_rejected() {
    let key = 16 + 3 * 16;
    check(2, key, b"l", 2, Fault::Order { element: 1 });
    check(3, key, b"a", 3, Fault::Order { element: 0 }); // below the branch's key
    check(4, key + 7, b"\0", 4, Fault::Order { element: 0 });
    check(5, key, b"x", 2, Fault::Order { element: 0 });
    check(5, key + 8 + 7, b"2", 5, Fault::Order { element: 1 }); // within the child before
    check(5, field(1, 2), &[2], 2, Fault::Order { element: 0 }); // the first child again
    check(5, field(1, 2), &[4], 5, Fault::Order { element: 2 }); // the last child early
}

#[test]
fn wrong_kinds_of_elements_are_rejected() {
    check(3, field(1, 0), &[1], 3, Fault::ElementFlags { element: 1, flags: 1, expected: 0 });
    check(6, field(1, 0), &[0], 6, Fault::ElementFlags { element: 1, flags: 0, expected: 1 });
    check(6, field(0, 3), &[15, 0], 6, Fault::BucketEntry { bucket: 0 });
    check(6, field(0, 3), &[31, 0], 6, Fault::BucketEntry { bucket: 0 });
    let entry = 16 + 2 * 16 + "inline".len();
    check(6, entry + 16 + 8, &[1], 6, Fault::BucketEntry { bucket: 0 });
    check(6, entry + 16 + 8, &[4], 6, Fault::Kind { found: 4 });
    check(6, entry + 16 + 10, &[99], 6, Fault::Count { count: 99 });
    check(6, entry + 16 + field(1, 3), &[99], 6, Fault::Place { element: 1 });
}

#[test]
fn wrong_references_are_rejected() {
    for page in [0, 1, 7, u64::MAX] {
        check(5, field(0, 2), &page.to_le_bytes(), 5, Fault::Reference { page, mark: 7 });
        let mut image = small();
        for meta in [0, PAGE] {
            set(&mut image, meta + 32, &page.to_le_bytes());
            sign(&mut image, meta);
        }
        assert_eq!(fault_of(Reader::open(&image[..])), (0, Fault::Reference { page, mark: 7 }));
    }
    // A branch that is its own child, and a bucket that is the tree of buckets.
    check(5, field(0, 2), &[5], 5, Fault::Repeated);
    let inline = "inline".len() + 16 + 16 + 2 * (16 + 8 + 10);
    check(
        6,
        16 + 2 * 16 + inline + "key".len(),
        &[6],
        6,
        Fault::ElementFlags { element: 0, flags: 1, expected: 0 },
    );
}

#[test]
fn trees_that_are_too_high_are_rejected() {
    let mark = 200;
    let mut image = [meta(PAGE, 0, 2, mark, 2), meta(PAGE, 1, 2, mark, 1)].concat();
    for page in 2..mark {
        image.extend(branch(PAGE, page, page + 1));
    }
    assert_eq!(fault_of(read(&image[..])), (66, Fault::Depth { depth: 64 }));
}

#[test]
fn too_many_buckets_are_rejected() {
    let names = |n| (0..n).map(|i| (Bytes::from(format!("{i:03}")), Rows::new())).collect();
    assert_eq!(read(&image(&names(BUCKETS_MAX))[..]).unwrap().len(), BUCKETS_MAX);
    let (_, fault) = fault_of(read(&image(&names(BUCKETS_MAX + 1))[..]));
    assert_eq!(fault, Fault::Buckets);
}

/// An image that is as long as its meta page claims, and zero behind its first bytes.
struct Sparse {
    bytes: Vec<u8>,
    size: u64,
}

impl Image for Sparse {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        assert!(out.len() <= PAGE, "{} bytes are read", out.len());
        self.bytes[..].read_at(out, offset)
    }
}

#[test]
fn nodes_of_enormous_size_are_not_read() {
    let check = |kind, overflow: u32, max| {
        let mark = 1 << 40;
        let mut bytes = [meta(PAGE, 0, 2, mark, 2), meta(PAGE, 1, 2, mark, 1), empty_leaf(PAGE, 2)].concat();
        header(&mut bytes[2 * PAGE..], 2, kind, 9, overflow);
        let image = Sparse { bytes, size: mark * PAGE as u64 };
        let bytes = (u64::from(overflow) + 1) * PAGE as u64;
        assert_eq!(fault_of(read(image)), (2, Fault::NodeSize { bytes, max }));
    };
    check(1, 256, 1 << 20);
    check(2, 1 << 18, 1 << 30);
    check(2, u32::MAX, 1 << 30);
}

#[test]
fn damaged_metas_are_rejected() {
    let check = |at: usize, bytes: &[u8], signed: bool, fault| {
        let mut image = small();
        for meta in [0, PAGE] {
            set(&mut image, meta + at, bytes);
            if signed {
                sign(&mut image, meta);
            }
        }
        assert_eq!(fault_of(Reader::open(&image[..])), (0, fault));
    };
    check(16, &[0; 4], false, Fault::Magic { found: 0 });
    check(20, &[3], false, Fault::Version { found: 3 });
    check(40, &[1], false, Fault::Checksum);
    check(24, &[1], true, Fault::PageSize { found: 4097 });
    check(24, &[0, 0, 2, 0], true, Fault::PageSize { found: 1 << 17 });
    let size = 7 * PAGE as u64;
    check(56, &[8], true, Fault::Cut { size });
    check(56, &[0xff; 8], true, Fault::Cut { size });
    check(56, &[0; 8], true, Fault::Reference { page: 6, mark: 0 });

    assert_eq!(fault_of(Reader::open(&b""[..])), (0, Fault::Cut { size: 0 }));
    assert_eq!(fault_of(Reader::open(&[0; 9 * PAGE][..])), (0, Fault::Magic { found: 0 }));
}

#[test]
fn cut_images_are_rejected() {
    let image = small();
    for size in (0..image.len()).step_by(64) {
        let (page, fault) = fault_of(read(&image[..size]));
        assert_eq!((page, fault), (0, Fault::Cut { size: size as u64 }));
    }
}

#[test]
fn the_newer_valid_meta_counts_at_any_page_size() {
    for page_bytes in (10..=16).map(|shift| 1 << shift) {
        let image = |txids: [u64; 2]| {
            let metas = [meta(page_bytes, 0, 2, 4, txids[0]), meta(page_bytes, 1, 3, 4, txids[1])];
            // The tree of page 2 is broken, that of page 3 is empty.
            [&metas.concat(), &vec![0; page_bytes], &empty_leaf(page_bytes, 3)[..]].concat()
        };
        assert_eq!(fault_of(read(&image([5, 4])[..])), (2, Fault::OwnId { found: 0 }));
        assert_eq!(read(&image([4, 5])[..]).unwrap(), buckets([]));
        let mut damaged = image([5, 4]);
        damaged[40] ^= 1;
        assert_eq!(read(&damaged[..]).unwrap(), buckets([]), "pages of {page_bytes}");
        let mut damaged = image([4, 5]);
        damaged[page_bytes + 40] ^= 1;
        assert_eq!(fault_of(read(&damaged[..])), (2, Fault::OwnId { found: 0 }));
    }
}

#[test]
fn bytes_behind_the_pages_are_ignored() {
    let mut image = small();
    let rows = read(&image[..]).unwrap();
    image.extend([7; 5000]);
    assert_eq!(read(&image[..]).unwrap(), rows);
}

#[test]
fn an_error_ends_the_rows() {
    let mut image = small();
    image[3 * PAGE] = 9;
    let reader = Reader::open(&image[..]).unwrap();
    let outcomes: Vec<_> = reader.bucket(b"key").unwrap().unwrap().rows().map(|row| row.is_ok()).collect();
    assert_eq!(outcomes, [true, true, true, false]);
}
