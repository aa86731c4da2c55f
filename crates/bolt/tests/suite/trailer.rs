//! The hash behind an image.

use std::io::Write;

use ferretcd_bolt::{HashWriter, Plan, ReadError, TRAILER_BYTES, Trailer, check_trailer};

use crate::common::{buckets, read, rows};

#[test]
fn the_trailer_shows_whether_the_image_is_whole() {
    let buckets = buckets([("key", rows(2000, 100))]);
    let plan = Plan::new(&buckets).unwrap();
    let mut out = HashWriter::new(Vec::new());
    plan.write(&buckets, &mut out).unwrap();
    let (mut file, hash) = out.finish();
    assert_eq!(check_trailer(&&file[..]).unwrap(), Trailer::Absent);

    file.write_all(&hash).unwrap();
    assert_eq!(file.len() as u64, plan.size() + TRAILER_BYTES as u64);
    assert_eq!(check_trailer(&&file[..]).unwrap(), Trailer::Intact);
    assert_eq!(read(&file[..]).unwrap(), buckets, "the hash is no obstacle");

    for at in [0, 70_000, file.len() - TRAILER_BYTES - 1, file.len() - 1] {
        let mut changed = file.clone();
        changed[at] ^= 1;
        let outcome = check_trailer(&&changed[..]);
        assert!(matches!(outcome, Err(ReadError::Hash)), "byte {at}: {outcome:?}");
    }
    let outcome = check_trailer(&&file[4096..]);
    assert!(matches!(outcome, Err(ReadError::Hash)), "{outcome:?}");
    let outcome = check_trailer(&&file[1..]);
    assert!(matches!(outcome, Err(ReadError::Length { .. })), "{outcome:?}");
}

#[test]
fn is_the_sha_256_of_the_image() {
    let (out, hash) = HashWriter::new(Vec::new()).finish();
    assert!(out.is_empty());
    assert_eq!(hash[..4], [0xe3, 0xb0, 0xc4, 0x42], "of nothing");
}
