//! A client with one request at a time.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use ferretcd_api_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest,
    RangeRequest, RequestOp, TxnRequest, request_op,
};
use ferretcd_apply::{Request, Response};
use ferretcd_base::LeaseId;
use ferretcd_testkit::Random;

use crate::check::{Call, OpId, Reply};

/// Few enough that requests meet.
const KEYS: u64 = 12;
/// How much history a client's compaction leaves, at least.
const HISTORY_KEPT: i64 = 40;

/// A client's knowledge, and the request that it waits for.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) waits_for: Option<OpId>,
    /// The revision that each key had when this client saw it last; 0 if it was not there.
    seen: BTreeMap<Bytes, i64>,
    leases: Vec<i64>,
    revision: i64,
    n_requests: u64,
}

impl Client {
    /// The next request. Values and ids of leases are unique: `number` differs for each client.
    pub(crate) fn next(&mut self, number: usize, ttl_max: i64, random: &mut Random) -> Call {
        self.n_requests += 1;
        let value = Bytes::from(format!("{number}.{}", self.n_requests));
        let key = key(random.below(KEYS));
        match random.below(100) {
            0..27 => propose_put(key, value, 0, random.chance(30)),
            27..39 => self.compare_and_swap(key, value, random.chance(50)),
            39..45 => self.write_two(&key, value, random),
            45..51 => delete(key, random.chance(20)),
            51..67 => range(key, Bytes::new(), false),
            67..73 => range(Bytes::from_static(b"k"), Bytes::from_static(b"l"), false),
            73..80 => range(Bytes::from_static(b"k"), Bytes::from_static(b"l"), true),
            80..82 => {
                let revision = self.revision - HISTORY_KEPT - random.below(100) as i64;
                Call::Propose(Request::Compaction(CompactionRequest { revision, physical: false }))
            }
            82..86 => {
                let id = number as i64 * 1_000_000 + self.n_requests as i64;
                let ttl = random.below(ttl_max as u64) as i64;
                Call::Propose(Request::LeaseGrant(LeaseGrantRequest { id, ttl }))
            }
            chosen => match self.leases.last().copied() {
                None => range(key, Bytes::new(), false),
                Some(lease) if chosen < 91 => propose_put(key, value, lease, false),
                Some(lease) if chosen < 99 => Call::KeepAlive(LeaseId(lease)),
                Some(id) => Call::Propose(Request::LeaseRevoke(LeaseRevokeRequest { id })),
            },
        }
    }

    /// Puts if the key is as it was when this client saw it last; reads it if not.
    fn compare_and_swap(&self, key: Bytes, value: Bytes, with_prev: bool) -> Call {
        let seen = self.seen.get(&key).copied().unwrap_or_default();
        let compare = Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Mod.into(),
            key: key.clone(),
            target_union: Some(TargetUnion::ModRevision(seen)),
            ..Compare::default()
        };
        let success = vec![operation(request_op::Request::RequestPut(put(key.clone(), value, 0, with_prev)))];
        let look = RangeRequest { key, ..RangeRequest::default() };
        let failure = vec![operation(request_op::Request::RequestRange(look))];
        Call::Propose(Request::Txn(TxnRequest { compare: vec![compare], success, failure }))
    }

    /// A put, and a put or delete of another key, at one revision.
    fn write_two(&self, first: &Bytes, value: Bytes, random: &mut Random) -> Call {
        let mut second = key(random.below(KEYS));
        if second == first {
            second = Bytes::from_static(b"k-other");
        }
        let other = if random.chance(50) {
            request_op::Request::RequestPut(put(second, value.clone(), 0, false))
        } else {
            let delete = DeleteRangeRequest { key: second, ..DeleteRangeRequest::default() };
            request_op::Request::RequestDeleteRange(delete)
        };
        let this = request_op::Request::RequestPut(put(first.clone(), value, 0, false));
        let success = vec![operation(this), operation(other)];
        Call::Propose(Request::Txn(TxnRequest { success, ..TxnRequest::default() }))
    }

    /// Learns from a reply. Returns the lease that it promises, and for how many seconds.
    pub(crate) fn learn(&mut self, call: &Call, reply: &Reply) -> Option<(i64, i64)> {
        match (call, reply) {
            (Call::Range(request), Reply::Rows(revision, rows)) => {
                if request.range_end.is_empty() {
                    self.seen.insert(request.key.clone(), 0);
                }
                for row in rows.kvs.iter().filter_map(|row| row.decode().ok()) {
                    self.seen.insert(row.key, row.mod_revision);
                }
                self.revision = self.revision.max(*revision);
            }
            (Call::KeepAlive(lease), Reply::Alive(0)) => self.leases.retain(|known| *known != lease.0),
            (Call::KeepAlive(lease), Reply::Alive(ttl)) => return Some((lease.0, *ttl)),
            (_, Reply::Applied(outcome)) => {
                self.revision = self.revision.max(outcome.revision);
                match &outcome.result {
                    Ok(Response::LeaseGrant { id, ttl }) => {
                        self.leases.push(id.0);
                        return Some((id.0, *ttl));
                    }
                    Ok(Response::LeaseRevoked(id)) => {
                        self.leases.retain(|known| LeaseId(*known) != *id);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        None
    }
}

fn key(number: u64) -> Bytes {
    format!("k{number:02}").into()
}

fn put(key: Bytes, value: Bytes, lease: i64, prev_kv: bool) -> PutRequest {
    PutRequest { key, value, lease, prev_kv, ..PutRequest::default() }
}

fn propose_put(key: Bytes, value: Bytes, lease: i64, prev_kv: bool) -> Call {
    Call::Propose(Request::Put(put(key, value, lease, prev_kv)))
}

fn delete(key: Bytes, is_range: bool) -> Call {
    let range_end = if is_range { Bytes::from(format!("{}~", key.escape_ascii())) } else { Bytes::new() };
    Call::Propose(Request::DeleteRange(DeleteRangeRequest { key, range_end, prev_kv: false }))
}

fn range(key: Bytes, range_end: Bytes, serializable: bool) -> Call {
    Call::Range(RangeRequest { key, range_end, serializable, ..RangeRequest::default() })
}

fn operation(request: request_op::Request) -> RequestOp {
    RequestOp { request: Some(request) }
}
