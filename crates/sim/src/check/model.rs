//! A store as simple as can be, which computes the expected outcome of every entry.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferretcd_api_proto::EncodedKeyValue;
use ferretcd_api_proto::etcdserverpb::compare::{CompareTarget, TargetUnion};
use ferretcd_api_proto::etcdserverpb::{
    Compare, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, ResponseHeader,
    ResponseOp, TxnRequest, TxnResponse, request_op, response_op,
};
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_apply::{Request, Response};
use ferretcd_base::LeaseId;
use ferretcd_testkit::watch_history::{Event, Record, is_within};

/// The shortest time to live of leases in these runs, in seconds.
pub(crate) const LEASE_TTL_MIN: i64 = 2;

/// A row at each revision that changed it, or that it went with.
type Past = Vec<(i64, Option<KeyValue>)>;

/// The key space with all of its history, and the leases. Knows only the requests of the workload: conditions
/// compare the revision of one key, and no request touches a key twice.
#[derive(Debug)]
pub(crate) struct Model {
    revision: i64,
    compacted: i64,
    rows: BTreeMap<Bytes, KeyValue>,
    past: BTreeMap<Bytes, Past>,
    leases: BTreeMap<i64, i64>,
    record: Record,
}

impl Default for Model {
    fn default() -> Self {
        let (rows, past, leases) = Default::default();
        Self { revision: 1, compacted: -1, rows, past, leases, record: Record::new(1) }
    }
}

impl Model {
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    /// Every change, for the checks of watches.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// The rows of a range, as requests write it, behind the change with this revision.
    pub(crate) fn range_at(&self, key: &[u8], range_end: &[u8], revision: i64) -> Vec<KeyValue> {
        let past = self.past.iter().filter(|(row, _)| is_within(row, key, range_end));
        let at = past.filter_map(|(_, past)| {
            let newer = past.partition_point(|(changed, _)| *changed <= revision);
            past[..newer].last()?.1.clone()
        });
        at.collect()
    }

    /// Executes a request.
    pub(crate) fn execute(&mut self, request: &Request) -> Result<Response, ()> {
        let mut events = Vec::new();
        let response = match request {
            Request::Put(put) => {
                self.check_lease(put)?;
                Response::Put(self.put(put, &mut events))
            }
            Request::DeleteRange(delete) => {
                Response::DeleteRange(self.delete(&delete.key, &delete.range_end, &mut events).into())
            }
            Request::Txn(txn) => Response::Txn(self.txn(txn, &mut events).into()),
            Request::Compaction(request) => {
                if request.revision <= self.compacted || request.revision > self.revision {
                    return Err(());
                }
                self.compacted = request.revision;
                self.record.compact(request.revision);
                Response::Compaction { revision: request.revision, physical: request.physical }
            }
            Request::LeaseGrant(request) => {
                if request.id == 0 || self.leases.contains_key(&request.id) {
                    return Err(());
                }
                let ttl = request.ttl.max(LEASE_TTL_MIN);
                self.leases.insert(request.id, ttl);
                Response::LeaseGrant { id: LeaseId(request.id), ttl }
            }
            Request::LeaseRevoke(request) => {
                self.end_lease(request.id)?;
                Response::LeaseRevoked(LeaseId(request.id))
            }
            Request::LeaseCheckpoint(request) => {
                let checkpoints = request.checkpoints.iter().map(|row| (LeaseId(row.id), row.remaining_ttl));
                let known = checkpoints.filter(|(id, _)| self.leases.contains_key(&id.0));
                Response::LeasesCheckpointed(known.collect())
            }
            // The workload has none of these.
            Request::Alarm(_)
            | Request::ClusterVersionSet(_)
            | Request::ClusterMemberAttrSet(_)
            | Request::DowngradeInfoSet(_)
            | Request::Auth(_) => Response::Done,
        };
        self.commit(events);
        Ok(response)
    }

    /// Each lease's keys go at a revision of their own.
    fn end_lease(&mut self, id: i64) -> Result<(), ()> {
        self.leases.remove(&id).ok_or(())?;
        let of_lease = self.rows.values().filter(|row| row.lease == id);
        let keys: Vec<_> = of_lease.map(|row| row.key.clone()).collect();
        let mut events = Vec::new();
        keys.iter().for_each(|key| drop(self.delete(key, b"", &mut events)));
        self.commit(events);
        Ok(())
    }

    fn commit(&mut self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        self.revision += 1;
        for event in &events {
            let row = (!event.is_delete).then(|| event.row.clone());
            self.past.entry(event.row.key.clone()).or_default().push((self.revision, row));
        }
        self.record.note(events);
    }

    fn check_lease(&self, put: &PutRequest) -> Result<(), ()> {
        if put.lease == 0 || self.leases.contains_key(&put.lease) { Ok(()) } else { Err(()) }
    }

    fn put(&mut self, put: &PutRequest, events: &mut Vec<Event>) -> PutResponse {
        let revision = self.revision + 1;
        let prev = self.rows.get(&put.key).cloned();
        let row = KeyValue {
            key: put.key.clone(),
            value: put.value.clone(),
            create_revision: prev.as_ref().map_or(revision, |prev| prev.create_revision),
            mod_revision: revision,
            version: prev.as_ref().map_or(1, |prev| prev.version + 1),
            lease: put.lease,
        };
        self.rows.insert(put.key.clone(), row.clone());
        let prev_kv = prev.as_ref().filter(|_| put.prev_kv).map(EncodedKeyValue::from);
        events.push(Event { is_delete: false, row, prev });
        PutResponse { header: None, prev_kv }
    }

    fn delete(&mut self, key: &[u8], range_end: &[u8], events: &mut Vec<Event>) -> DeleteRangeResponse {
        let keys: Vec<_> = self.rows.keys().filter(|row| is_within(row, key, range_end)).cloned().collect();
        let deleted = keys.len() as i64;
        for key in keys {
            let prev = self.rows.remove(&key);
            let row = KeyValue { key, mod_revision: self.revision + 1, ..KeyValue::default() };
            events.push(Event { is_delete: true, row, prev });
        }
        DeleteRangeResponse { header: None, deleted, prev_kvs: Vec::new() }
    }

    fn range(&self, request: &RangeRequest) -> RangeResponse {
        let rows = self.rows.values().filter(|row| is_within(&row.key, &request.key, &request.range_end));
        let kvs: Vec<_> = rows.map(EncodedKeyValue::from).collect();
        RangeResponse { header: None, count: kvs.len() as i64, kvs, more: false }
    }

    fn txn(&mut self, txn: &TxnRequest, events: &mut Vec<Event>) -> TxnResponse {
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare));
        let operations = if succeeded { &txn.success } else { &txn.failure };
        let mut responses = Vec::new();
        for operation in operations {
            let mut response = match &operation.request {
                Some(request_op::Request::RequestPut(put)) => {
                    response_op::Response::ResponsePut(self.put(put, events))
                }
                Some(request_op::Request::RequestDeleteRange(delete)) => {
                    let response = self.delete(&delete.key, &delete.range_end, events);
                    response_op::Response::ResponseDeleteRange(response)
                }
                Some(request_op::Request::RequestRange(range)) => {
                    response_op::Response::ResponseRange(self.range(range))
                }
                Some(request_op::Request::RequestTxn(_)) | None => continue,
            };
            let revision = self.revision + i64::from(!events.is_empty());
            let header = Some(ResponseHeader { revision, ..ResponseHeader::default() });
            match &mut response {
                response_op::Response::ResponsePut(response) => response.header = header,
                response_op::Response::ResponseDeleteRange(response) => response.header = header,
                response_op::Response::ResponseRange(response) => response.header = header,
                response_op::Response::ResponseTxn(response) => response.header = header,
            }
            responses.push(ResponseOp { response: Some(response) });
        }
        TxnResponse { header: None, succeeded, responses }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let is_known = compare.target == i32::from(CompareTarget::Mod);
        let Some(TargetUnion::ModRevision(expected)) = compare.target_union else { return false };
        is_known && self.rows.get(&compare.key).map_or(0, |row| row.mod_revision) == expected
    }
}
