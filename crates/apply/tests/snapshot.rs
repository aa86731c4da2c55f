//! A state that goes from one member to another: the same log, sent as an image, is the same state.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use api_proto::etcdserverpb::request_op::Request as Op;
use api_proto::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, DeleteRangeRequest, LeaseCheckpoint, LeaseCheckpointRequest,
    LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
};
use api_proto::membershippb::{Attributes, ClusterMemberAttrSetRequest, ClusterVersionSetRequest};
use backend::{Backend, Batch, Bucket};
use base::{LeaseId, MemberId};
use bytes::Bytes;
use ferretcd_apply::snapshot::{self, ImportError};
use ferretcd_apply::{
    Applied, Command, Config, MemberChange, OpenError, Request, StateMachine, backend_hash,
};
use lease::{Lease, LeaseReader};
use membership::Member as Description;
use mvcc::{ReadError, ReadView, Reader, Scrub};
use proptest::collection::vec;
use proptest::prelude::*;

const CONFIG: Config =
    Config { mvcc: mvcc::Config { cache_bytes: 1 << 16 }, lease: lease::Config { ttl_min: 2 } };
const MEMBER: MemberId = MemberId(7);

/// A state machine with its file, and the rows that are not in it yet.
struct Member {
    backend: Backend,
    machine: StateMachine,
    batch: Batch,
    reader: Reader,
    leases: LeaseReader,
}

/// Everything that can be seen of a state.
#[derive(Debug, PartialEq)]
struct Seen {
    applied: Applied,
    alarms: Vec<String>,
    members: String,
    leases: Vec<(LeaseId, Lease, Vec<Bytes>)>,
    revision: i64,
    compacted: i64,
    /// Range and hash of each revision that can be read.
    history: Vec<(RangeResponse, u32)>,
}

impl Member {
    fn new() -> Self {
        let (backend, mut batch) = (Backend::in_memory(), Batch::default());
        let machine = StateMachine::open(backend.clone(), &CONFIG, &mut batch).expect("own rows");
        let (reader, leases) = (machine.reader(), machine.lease_reader());
        Self { backend, machine, batch, reader, leases }
    }

    fn apply(&mut self, log: &[Entry]) {
        for entry in log {
            let index = self.machine.applied().index + 1;
            match entry {
                Entry::Members(change) => {
                    let applied =
                        self.machine.apply_members((index, 1), index, change.clone(), &mut self.batch);
                    drop(applied.expect("a readable entry"));
                }
                Entry::Command(request) => {
                    let request = request.clone();
                    let command =
                        Command { id: index, username: String::new(), auth_revision: 0, request }.encode();
                    let applied = self.machine.apply(index, 1, command, &mut self.batch);
                    drop(applied.expect("a readable entry"));
                }
                Entry::Commit => self.commit(),
                Entry::Scrub(limit) => {
                    _ = self.machine.scrub(*limit, &mut self.batch).expect("own rows");
                }
            }
        }
    }

    fn commit(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        self.machine.applied().store(&mut batch);
        self.backend.commit(&batch).expect("memory");
        self.machine.release(self.machine.revision());
    }

    /// Ends every compaction; returns the hash of the file.
    fn settle(&mut self) -> u32 {
        self.commit();
        let mut n_steps = 0;
        while self.machine.scrub(100, &mut self.batch).expect("own rows") != Scrub::Idle {
            self.commit();
            n_steps += 1;
            assert!(n_steps < 1_000, "a compaction comes to its end");
        }
        backend_hash(&self.backend.view()).expect("memory")
    }

    fn image(&self) -> Vec<u8> {
        let mut export = snapshot::export(self.backend.view()).expect("memory");
        let mut image = Vec::new();
        export.read_to_end(&mut image).expect("memory");
        assert_eq!(image.len() as u64, export.len());
        assert_eq!(export.mark(), self.machine.applied());
        image
    }

    /// Goes on with what another member sends. The rows that were not committed are lost.
    fn receive(&mut self, image: &[u8]) -> Result<(), OpenError> {
        let file = Backend::in_memory();
        let applied = snapshot::import_into(image, &file, |_| ()).expect("an image of a member");
        self.batch = Batch::default();
        self.backend.replace_by(&file);
        self.machine.restore(&self.backend)?;
        assert_eq!(self.machine.applied(), &applied);
        Ok(())
    }

    /// Through the readers that were there from the beginning. What is not committed must be nothing.
    fn see(&self) -> Seen {
        let (revision, compacted) = (self.reader.revision(), self.reader.compacted());
        let view = self.reader.view();
        Seen {
            applied: self.machine.applied().clone(),
            alarms: self.machine.alarms().iter().map(|alarm| format!("{alarm:?}")).collect(),
            members: format!("{:?}", self.machine.membership()),
            leases: (self.leases.all().into_iter())
                .map(|(id, lease)| (id, lease, self.leases.keys(id)))
                .collect(),
            revision,
            compacted,
            history: (compacted.max(1)..=revision)
                .map(|at| (everything(&view, at).expect("not compacted"), self.hash(at)))
                .collect(),
        }
    }

    fn hash(&self, at: i64) -> u32 {
        self.reader.compute_hash_kv(at).expect("not compacted").hash
    }
}

fn everything(view: &ReadView, revision: i64) -> Result<RangeResponse, ReadError> {
    let all = RangeRequest { key: vec![0].into(), range_end: vec![0].into(), ..RangeRequest::default() };
    ferretcd_apply::range(view, &RangeRequest { revision, ..all })
}

/// What happens to a member, in or beside its log.
#[derive(Clone, Debug)]
enum Entry {
    Members(MemberChange),
    Command(Request),
    Commit,
    Scrub(usize),
}

fn key() -> impl Strategy<Value = Bytes> {
    (0..6u8).prop_map(|n| vec![b'a' + n].into())
}

fn put() -> impl Strategy<Value = PutRequest> {
    let value = prop_oneof![8 => "[a-z]{0,3}", 1 => Just("v".repeat(9_000))];
    (key(), value, 0..3i64).prop_map(|(key, value, lease)| PutRequest {
        key,
        value: value.into(),
        lease,
        ..PutRequest::default()
    })
}

fn txn() -> impl Strategy<Value = TxnRequest> {
    vec(put(), 0..4).prop_map(|puts| {
        // A server lets no transaction write a key twice.
        let puts: BTreeMap<_, _> = puts.into_iter().map(|put| (put.key.clone(), put)).collect();
        let op = |put| RequestOp { request: Some(Op::RequestPut(put)) };
        TxnRequest { success: puts.into_values().map(op).collect(), ..TxnRequest::default() }
    })
}

fn request() -> impl Strategy<Value = Request> {
    let delete = (key(), key()).prop_map(|(key, range_end)| DeleteRangeRequest {
        key,
        range_end,
        ..DeleteRangeRequest::default()
    });
    let compaction = (0..40i64).prop_map(|revision| CompactionRequest { revision, physical: false });
    let grant = (1..3i64, 1..20i64).prop_map(|(id, ttl)| LeaseGrantRequest { id, ttl });
    let checkpoint = (1..3i64, 0..20i64).prop_map(|(id, remaining_ttl)| LeaseCheckpointRequest {
        checkpoints: vec![LeaseCheckpoint { id, remaining_ttl }],
    });
    let alarm = (1..3i32, 7..9u64).prop_map(|(action, member_id)| AlarmRequest {
        action,
        member_id,
        alarm: AlarmType::Nospace.into(),
    });
    let attributes = Attributes { name: "<m>".to_owned(), client_urls: vec!["http://c:1".to_owned()] };
    prop_oneof![
        20 => put().prop_map(Request::Put),
        8 => txn().prop_map(Request::Txn),
        4 => delete.prop_map(Request::DeleteRange),
        3 => compaction.prop_map(Request::Compaction),
        4 => grant.prop_map(Request::LeaseGrant),
        1 => (1..3i64).prop_map(|id| Request::LeaseRevoke(LeaseRevokeRequest { id })),
        1 => checkpoint.prop_map(Request::LeaseCheckpoint),
        1 => alarm.prop_map(Request::Alarm),
        1 => Just(Request::ClusterVersionSet(ClusterVersionSetRequest { ver: "3.7.0".to_owned() })),
        1 => Just(Request::ClusterMemberAttrSet(ClusterMemberAttrSetRequest {
            member_id: MEMBER.0,
            member_attributes: Some(attributes),
        })),
    ]
}

fn add(id: MemberId) -> MemberChange {
    let peer_urls = vec![format!("http://p:{id}")];
    MemberChange::Add { context: Description { id, peer_urls, ..Description::default() }.to_json().into() }
}

fn entry() -> impl Strategy<Value = Entry> {
    let change = prop_oneof![
        (8..11u64).prop_map(|id| add(MemberId(id))),
        (8..11u64).prop_map(|id| MemberChange::Remove(MemberId(id))),
    ];
    prop_oneof![
        40 => request().prop_map(Entry::Command),
        2 => change.prop_map(Entry::Members),
        8 => Just(Entry::Commit),
        6 => (1..5usize).prop_map(Entry::Scrub),
    ]
}

fn log(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Entry>> {
    vec(entry(), len).prop_map(|mut log| {
        log.insert(0, Entry::Members(add(MEMBER)));
        log
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_restored_is_what_was_sent(
        (log, rest) in (log(1..80), log(1..20)),
        at in any::<prop::sample::Index>(),
        read_at in any::<prop::sample::Index>(),
    ) {
        let mut sender = Member::new();
        sender.apply(&log);
        sender.commit();
        let image = sender.image();

        let mut receiver = Member::new();
        receiver.apply(&log[..at.index(log.len() + 1)]);
        let view = receiver.reader.view();
        let revision = (read_at.index(view.revision() as usize) + 1) as i64;
        let before = everything(&view, revision);
        receiver.receive(&image).expect("a newer state");

        prop_assert_eq!(&receiver.see(), &sender.see());
        let after = everything(&view, revision);
        prop_assert_eq!(format!("{after:?}"), format!("{before:?}"), "a view keeps its state");
        drop(view);
        prop_assert_eq!(&receiver.image(), &image, "equal rows are an equal image");

        sender.apply(&rest);
        receiver.apply(&rest);
        prop_assert_eq!(receiver.settle(), sender.settle(), "both go on as one");
        prop_assert_eq!(receiver.see(), sender.see());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage is found, or is where it doesn't matter, or has made another state. In no case is something left half.
    #[test]
    fn damaged_images_are_refused_or_can_be_opened(
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
fn rows_that_are_none_are_refused() {
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
fn buckets_of_other_programs_are_refused() {
    let buckets = BTreeMap::from([(Bytes::from("bucket"), BTreeMap::<Bytes, Bytes>::new())]);
    let mut image = Vec::new();
    bolt::Plan::new(&buckets).expect("memory").write(&buckets, &mut image).expect("memory");
    let refused = snapshot::import_into(&image[..], &Backend::in_memory(), |_| ());
    assert!(matches!(refused, Err(ImportError::Bucket { name }) if name == "bucket"));
}

#[test]
fn an_older_state_is_not_restored() {
    let put = |key: &'static str| {
        Entry::Command(Request::Put(PutRequest { key: key.into(), ..PutRequest::default() }))
    };
    let (mut sender, mut receiver) = (Member::new(), Member::new());
    sender.apply(&[Entry::Members(add(MEMBER)), put("a"), Entry::Commit]);
    receiver.apply(&[Entry::Members(add(MEMBER)), put("a"), put("b"), Entry::Commit]);
    let before = receiver.see();
    let refused = receiver.receive(&sender.image());
    assert!(matches!(refused, Err(OpenError::Older { index: 2, applied: 3 })));
    assert_eq!(receiver.see(), before);
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[test]
fn files_come_whole_or_not_at_all() {
    let mut sender = Member::new();
    let puts = (0..300).map(|n| {
        let put = PutRequest {
            key: format!("k{n}").into(),
            value: vec![b'v'; 100].into(),
            ..PutRequest::default()
        };
        Entry::Command(Request::Put(put))
    });
    sender.apply(&[Entry::Members(add(MEMBER))].into_iter().chain(puts).collect::<Vec<_>>());
    sender.commit();
    let image = sender.image();

    let directory = tempfile::tempdir().expect("a directory");
    let (body, file) = (directory.path().join("body"), directory.path().join("7.redb"));
    // What a process leaves that was killed, and an earlier one of the same name.
    fs::write(directory.path().join("7.part.redb"), "half").expect("disk");
    fs::write(&file, "old").expect("disk");

    fs::write(&body, &image[..image.len() - 4096]).expect("disk");
    assert!(matches!(snapshot::import(&body, &file, |_| ()), Err(ImportError::Image(_))));
    let mut damaged = image.clone();
    damaged[3 * 4096 + 1000] ^= 1;
    damaged.extend([0; bolt::TRAILER_BYTES]);
    fs::write(&body, damaged).expect("disk");
    assert!(matches!(snapshot::import(&body, &file, |_| ()), Err(ImportError::Image(bolt::ReadError::Hash))));
    fs::remove_file(&body).expect("it is there");
    assert!(matches!(snapshot::import(&body, &file, |_| ()), Err(ImportError::Io { action: "open", .. })));

    fs::write(&body, &image).expect("disk");
    let applied = snapshot::import(&body, &file, |_| ()).expect("an image");
    assert_eq!(&applied, sender.machine.applied());
    assert_eq!(names(directory.path()), ["7.redb", "body"]);

    let mut receiver = Member::new();
    receiver.backend.replace(&file, &backend::Config { cache_bytes: 1 << 20 }).expect("closed and unlocked");
    receiver.machine.restore(&receiver.backend).expect("a newer state");
    receiver.batch = Batch::default();
    assert_eq!(receiver.see(), sender.see());
}

/// An image that changes while it is read is no image.
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
        let key = base::Revision::new(main, 0).to_bytes().to_vec();
        let mut row = b"\x0a\x01k\x2a\xfc\xff\x3f".to_vec();
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
