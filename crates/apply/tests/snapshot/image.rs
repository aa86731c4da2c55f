//! Images: the same whenever they are read, rejected when they are damaged.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::PutRequest;
use ferretcd_apply::snapshot::{self, ImportError};
use ferretcd_apply::{Request, StateMachine};
use ferretcd_backend::{Backend, Batch, Bucket};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::log::{Entry, add, log};
use crate::member::{CONFIG, MEMBER, Member};

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage is found, or is where it doesn't matter, or has made another state. In no case is something left half.
    #[test]
    fn damaged_images_are_rejected_or_can_be_opened(
        log in log(1..40),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut sender = Member::new();
        sender.apply(&log);
        sender.commit();
        let mut image = sender.image();
        for (at, byte) in damage {
            let at = at.index(image.len());
            image[at] = byte;
        }
        image.truncate(cut.map_or(image.len(), |cut| cut.index(image.len())));

        let file = Backend::in_memory();
        if snapshot::import_into(&image[..], &file, |_| ()).is_ok() {
            let mut batch = Batch::default();
            StateMachine::open(file, &CONFIG, &mut batch).expect("what was imported can be opened");
        }
    }
}

/// Rows that the image's form does not forbid: damage of rows is more likely to be met than of pages.
#[test]
fn malformed_rows_are_rejected() {
    fn check(bucket: Bucket, key: &'static [u8], value: &'static [u8], expected: &str) {
        let file = Backend::in_memory();
        let mut batch = Batch::default();
        batch.put(bucket, key, value);
        file.commit(&batch).expect("memory");
        let mut image = Vec::new();
        if let Ok(mut export) = snapshot::export(file.view()) {
            export.read_to_end(&mut image).expect("memory");
        } else {
            return;
        }
        let error = snapshot::import_into(&image[..], &Backend::in_memory(), |_| ());
        let error = error.expect_err("no such row").to_string();
        assert!(error.contains(expected), "{error}");
    }
    check(Bucket::Key, b"short", b"", "row key");
    check(Bucket::Key, b"\xff\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0", b"\x0a\x01k", "row key");
    check(Bucket::Key, b"\x7f\xff\xff\xff\xff\xff\xff\xff_\0\0\0\0\0\0\0\0", b"\x0a\x01k", "row key");
    check(Bucket::Key, b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0", b"\x0a\x09k", "revision 2/0");
    check(Bucket::Members, b"1f", b"no json", "members");
    check(Bucket::MembersRemoved, b"xyz", b"removed", "members_removed");
    check(Bucket::Alarm, b"\x0a\x09", b"", "alarm");
    check(Bucket::Lease, b"short", b"", "lease");
    check(Bucket::Meta, b"scheduledCompactRev", b"soon", "scheduledCompactRev");
}

#[test]
fn buckets_of_other_programs_are_rejected() {
    let buckets = BTreeMap::from([(Bytes::from("bucket"), BTreeMap::<Bytes, Bytes>::new())]);
    let mut image = Vec::new();
    ferretcd_bolt::Plan::new(&buckets).expect("memory").write(&buckets, &mut image).expect("memory");
    let rejected = snapshot::import_into(&image[..], &Backend::in_memory(), |_| ());
    assert!(matches!(rejected, Err(ImportError::Bucket { name }) if name == "bucket"));
}

#[test]
fn an_image_in_pieces_is_the_same() {
    let mut sender = Member::new();
    sender.apply(&[Entry::Members(add(MEMBER)), Entry::Commit]);
    let image = sender.image();
    let mut export = snapshot::export(sender.backend.view()).expect("memory");
    // Commits of afterwards are none of it.
    sender.apply(&[Entry::Command(Request::Put(PutRequest { key: "k".into(), ..PutRequest::default() }))]);
    sender.commit();
    let mut pieces = Vec::new();
    let mut piece = [0; 700];
    while let n @ 1.. = export.read(&mut piece).expect("memory") {
        pieces.extend_from_slice(&piece[..n]);
    }
    assert_eq!(pieces, image);
    assert_ne!(sender.image(), image);
}

#[test]
fn rows_are_committed_in_batches_of_a_bounded_size() {
    const ROW_BYTES: u64 = 1 << 20;
    let file = Backend::in_memory();
    let mut batch = Batch::default();
    for main in 2..42_i64 {
        let key = ferretcd_base::Revision::new(main, 0).to_bytes().to_vec();
        let mut row = b"\x0a\x01k\x20\x01\x2a\xfc\xff\x3f".to_vec();
        row.resize(row.len() + 0x000f_fffc, b'v');
        batch.put(Bucket::Key, key, row);
    }
    file.commit(&batch).expect("memory");
    let mut image = Vec::new();
    snapshot::export(file.view()).expect("memory").read_to_end(&mut image).expect("memory");

    let mut stored = vec![0];
    snapshot::import_into(&image[..], &Backend::in_memory(), |n_bytes| stored.push(n_bytes)).expect("rows");
    assert_eq!(stored.last(), Some(&(batch.bytes() as u64)));
    let most = stored.windows(2).map(|pair| pair[1] - pair[0]).max().expect("three batches");
    assert!(most <= (16 << 20) + 2 * ROW_BYTES, "{most}");
}

#[test]
fn exports_can_be_read_on_any_thread() {
    fn assert_send<T: Send + 'static>(_: &T) {}
    let backend = Backend::in_memory();
    assert_send(&snapshot::export(Arc::clone(&backend.view())).expect("memory"));
}
