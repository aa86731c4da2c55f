//! A member, and everything that can be seen of it.

use std::io::Read;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{RangeRequest, RangeResponse};
use ferretcd_apply::snapshot;
use ferretcd_apply::{Applied, Command, Config, OpenError, StateMachine, backend_hash};
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::{LeaseId, LogPosition, MemberId};
use ferretcd_lease::{Lease, LeaseReader};
use ferretcd_mvcc::{ReadError, ReadView, Reader, Scrub};

use crate::log::Entry;

pub(crate) const CONFIG: Config = Config {
    mvcc: ferretcd_mvcc::Config { cache_bytes: 1 << 16 },
    lease: ferretcd_lease::Config { ttl_min: 2 },
};
pub(crate) const MEMBER: MemberId = MemberId(7);

/// A state machine with its file, and the rows that are not in it yet.
pub(crate) struct Member {
    pub(crate) backend: Backend,
    pub(crate) machine: StateMachine,
    pub(crate) batch: Batch,
    pub(crate) reader: Reader,
    leases: LeaseReader,
}

/// Everything that can be seen of a state.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
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
    pub(crate) fn new() -> Self {
        let (backend, mut batch) = (Backend::in_memory(), Batch::default());
        let machine = StateMachine::open(backend.clone(), &CONFIG, &mut batch).expect("own rows");
        let (reader, leases) = (machine.reader(), machine.lease_reader());
        Self { backend, machine, batch, reader, leases }
    }

    pub(crate) fn apply(&mut self, log: &[Entry]) {
        for entry in log {
            let index = self.machine.applied().position.index + 1;
            let position = LogPosition::new(index, 1);
            match entry {
                Entry::Members(change) => {
                    let applied =
                        self.machine.apply_members(position, index, change.clone(), &mut self.batch);
                    drop(applied.expect("a readable entry"));
                }
                Entry::Command(request) => {
                    let request = request.clone();
                    let command =
                        Command { id: index, username: String::new(), auth_revision: 0, request }.encode();
                    let applied = self.machine.apply(position, command, &mut self.batch);
                    drop(applied.expect("a readable entry"));
                }
                Entry::Commit => self.commit(),
                Entry::Scrub(limit) => {
                    _ = self.machine.scrub(*limit, &mut self.batch).expect("own rows");
                }
            }
        }
    }

    pub(crate) fn commit(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        self.machine.applied().store(&mut batch);
        self.backend.commit(&batch).expect("memory");
        self.machine.release(self.machine.revision());
    }

    /// Ends every compaction; returns the hash of the file.
    pub(crate) fn settle(&mut self) -> u32 {
        self.commit();
        let mut n_steps = 0;
        while self.machine.scrub(100, &mut self.batch).expect("own rows") != Scrub::Idle {
            self.commit();
            n_steps += 1;
            assert!(n_steps < 1_000, "a compaction comes to its end");
        }
        backend_hash(&self.backend.view()).expect("memory")
    }

    pub(crate) fn image(&self) -> Vec<u8> {
        let mut export = snapshot::export(self.backend.view()).expect("memory");
        let mut image = Vec::new();
        export.read_to_end(&mut image).expect("memory");
        assert_eq!(image.len() as u64, export.len());
        assert_eq!(export.mark(), self.machine.applied());
        image
    }

    /// Goes on with what another member sends. The rows that were not committed are lost.
    pub(crate) fn receive(&mut self, image: &[u8]) -> Result<(), OpenError> {
        let file = Backend::in_memory();
        let applied = snapshot::import_into(image, &file, |_| ()).expect("an image of a member");
        self.batch = Batch::default();
        self.backend.replace_by(&file);
        self.machine.restore(&self.backend)?;
        assert_eq!(self.machine.applied(), &applied);
        Ok(())
    }

    /// Through the readers that were there from the beginning. What is not committed must be nothing.
    pub(crate) fn see(&self) -> Seen {
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

pub(crate) fn everything(view: &ReadView, revision: i64) -> Result<RangeResponse, ReadError> {
    let all = RangeRequest { key: vec![0].into(), range_end: vec![0].into(), ..RangeRequest::default() };
    ferretcd_apply::range(view, &RangeRequest { revision, ..all })
}
