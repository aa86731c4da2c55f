//! Written rows are read again.

use std::convert::Infallible;
use std::error::Error;
use std::io;

use bytes::Bytes;
use ferretcd_bolt::{KEY_BYTES_MAX, Plan, Reader, Row, RowFault, Source, VALUE_BYTES_MAX, WriteError};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::common::{Buckets, Rows, buckets, image, read, rows};
use crate::naive;

fn check(buckets: &Buckets) -> Vec<u8> {
    let image = image(buckets);
    assert_eq!(naive::read(&image), *buckets);
    assert_eq!(read(&image[..]).unwrap(), *buckets);
    image
}

/// Rows of all sizes, mostly small; few of them have keys or values that need overflow pages.
fn any_rows() -> impl Strategy<Value = Rows> {
    let bytes =
        |lens: std::ops::RangeInclusive<usize>| (lens, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]);
    let key = (vec(any::<u8>(), 1..20), prop_oneof![9 => bytes(0..=40), 1 => bytes(0..=KEY_BYTES_MAX - 20)])
        .prop_map(|(key, rest)| Bytes::from([key, rest].concat()));
    let value = prop_oneof![20 => bytes(0..=300), 4 => bytes(900..=5000), 1 => bytes(0..=100_000)];
    btree_map(key, value.prop_map(Bytes::from), 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rows_come_back(buckets in btree_map("[a-z]{1,8}".prop_map(Bytes::from), any_rows(), 0..12)) {
        check(&buckets);
    }

    #[test]
    fn many_rows_come_back(n in 0..4000_usize, value_bytes in 0..60_usize) {
        check(&buckets([("key", rows(n, value_bytes)), ("lease", rows(n % 50, 20))]));
    }
}

#[test]
fn sizes_at_the_limits() {
    let pages = |n_values: usize, value_bytes: usize| {
        let image = check(&buckets([("key", rows(n_values, value_bytes))]));
        image.len() / 4096
    };
    let header_and_row = 16 + 16 + "key00000".len();
    // Metas and the leaf with the bucket; what is larger than a quarter of a page has a leaf of its own.
    assert_eq!(pages(0, 0), 3);
    assert_eq!(pages(1, 1024 - header_and_row), 3);
    assert_eq!(pages(1, 1025 - header_and_row), 4);
    assert_eq!(pages(1, 4096 - header_and_row), 4);
    assert_eq!(pages(1, 4097 - header_and_row), 5);
    assert_eq!(pages(1, 3 * 4096 - header_and_row), 6);
    // Two leaves and a branch.
    assert_eq!(pages(2, 2028), 6);
    assert_eq!(pages(2, 2012), 4);
}

#[test]
fn no_buckets() {
    let image = check(&Buckets::new());
    assert_eq!(image.len(), 3 * 4096);
}

#[test]
fn empty_buckets_have_entries_of_32_bytes() {
    let image = check(&buckets([("key", Rows::new())]));
    let entry = &image[2 * 4096 + 32..];
    assert_eq!(&entry[..3], b"key");
    assert_eq!(entry[3..35], [[0; 16], [0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]].concat());
}

#[test]
fn deep_trees_of_large_keys() {
    let key = |i: u32| Bytes::from([&i.to_be_bytes()[..], &[7; KEY_BYTES_MAX - 4]].concat());
    let rows = |n| (0..n).map(|i| (key(i), Bytes::new())).collect();
    for n in [1, 2, 3, 4, 5, 17, 60] {
        check(&buckets([("key", rows(n))]));
    }
}

#[test]
fn more_inline_buckets_than_one_leaf_holds() {
    let names = (0..64).map(|i| Bytes::from(format!("bucket{i:02}")));
    check(&names.map(|name| (name, rows(3, 200))).collect());
}

#[test]
fn equal_rows_give_equal_images() {
    let buckets = buckets([("auth", rows(3, 9)), ("key", rows(700, 50)), ("meta", rows(2, 9000))]);
    let first = image(&buckets);
    let reader = Reader::open(&first[..]).unwrap();
    let plan = Plan::new(&reader).unwrap();
    let mut second = Vec::new();
    plan.write(&reader, &mut second).unwrap();
    assert!(first == second);
    assert_eq!(reader.size(), first.len() as u64);
}

#[test]
fn files_are_images() {
    let buckets = buckets([("key", rows(500, 50))]);
    let mut file = tempfile::tempfile().unwrap();
    Plan::new(&buckets).unwrap().write(&buckets, io::BufWriter::new(&mut file)).unwrap();
    assert_eq!(read(&file).unwrap(), buckets);
    let reader = Reader::open(file).unwrap();
    let bucket = reader.bucket(b"key").unwrap().unwrap();
    assert_eq!(bucket.rows().count(), 500);
    assert!(reader.bucket(b"kex").unwrap().is_none());
}

/// Rows in any order, and a failure after them if wanted.
struct Unchecked {
    names: Vec<&'static str>,
    rows: Vec<Row>,
    fails: bool,
}

impl Source for Unchecked {
    type Error = io::Error;

    fn buckets(&self) -> io::Result<Vec<Bytes>> {
        Ok(self.names.iter().copied().map(Bytes::from).collect())
    }

    fn rows(&self, _: &[u8]) -> io::Result<impl Iterator<Item = io::Result<Row>>> {
        let failure = self.fails.then(|| Err(io::Error::other("the disk is gone")));
        Ok(self.rows.iter().cloned().map(Ok).chain(failure))
    }
}

/// Both passes meet the same, as they read the same.
fn write_error(names: Vec<&'static str>, rows: Vec<Row>, fails: bool) -> String {
    let error = Plan::new(&Unchecked { names, rows, fails }).unwrap_err();
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[test]
fn rows_that_no_image_can_hold_are_rejected() {
    let check = |rows: &[(&'static str, usize)], expected: &str| {
        let rows = rows.iter().map(|&(key, len)| (Bytes::from(key), Bytes::from(vec![0; len]))).collect();
        assert_eq!(write_error(vec!["b"], rows, false), expected);
    };
    check(&[("k", 0), ("k", 0)], r#"write row "k" of bucket "b": it is not above the one before it"#);
    check(&[("l", 0), ("k\0", 0)], r#"write row "k\x00" of bucket "b": it is not above the one before it"#);
    check(&[("", 0)], r#"write row "" of bucket "b": its key has 0 bytes, not 1 to 32768"#);
    check(
        &[("k", VALUE_BYTES_MAX + 1)],
        r#"write row "k" of bucket "b": its value has 536870913 bytes, more than 536870912"#,
    );
    assert_eq!(
        write_error(vec!["b", "a"], vec![], false),
        r#"write bucket "a": it is not above the one before it"#
    );
    assert_eq!(
        write_error(vec![""], vec![], false),
        r#"write bucket "": its key has 0 bytes, not 1 to 32768"#
    );
    assert_eq!(write_error(vec!["a"], vec![], true), "read the rows of the image: the disk is gone");

    let key = Bytes::from(vec![0; KEY_BYTES_MAX + 1]);
    let source = Unchecked { names: vec!["b"], rows: vec![(key, Bytes::new())], fails: false };
    let error = Plan::new(&source).unwrap_err();
    assert!(matches!(error, WriteError::Row { fault: RowFault::KeySize { len: 32769 }, .. }), "{error}");
}

#[test]
fn other_rows_than_planned_are_an_error() {
    let planned = buckets([("key", rows(100, 200)), ("meta", rows(1, 8))]);
    let plan = Plan::new(&planned).unwrap();
    let check = |change: fn(&mut Buckets)| {
        let mut changed = planned.clone();
        change(&mut changed);
        let mut image = Vec::new();
        let outcome = plan.write(&changed, &mut image);
        assert!(matches!(outcome, Err(WriteError::<Infallible>::Changed)), "{outcome:?}");
        assert!(image.len() as u64 <= plan.size());
    };
    check(|buckets| *buckets = Buckets::new());
    check(|buckets| drop(buckets.pop_last()));
    check(|buckets| *buckets.get_mut(&b"key"[..]).unwrap() = rows(99, 200));
    check(|buckets| *buckets.get_mut(&b"key"[..]).unwrap() = rows(1000, 200));
    check(|buckets| *buckets.get_mut(&b"meta"[..]).unwrap() = rows(1, 9));
    check(|buckets| *buckets.get_mut(&b"meta"[..]).unwrap().values_mut().next().unwrap() = "12345678".into());
}

#[test]
fn a_full_disk_is_an_error() {
    let buckets = buckets([("key", rows(100, 200))]);
    let plan = Plan::new(&buckets).unwrap();
    for size in [0, 100, 5000, plan.size() as usize - 1] {
        let mut disk = vec![0; size];
        let outcome = plan.write(&buckets, &mut disk[..]);
        assert!(matches!(outcome, Err(WriteError::Io(_))), "{outcome:?}");
    }
}
