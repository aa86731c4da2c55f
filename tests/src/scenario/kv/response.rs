//! Responses as lines.
//!
//! A complete header shows as `rev R`; whatever is missing or wrong in it is named. Revisions are relative to the
//! start of the case.

use ferretcd_api_proto::EncodedKeyValue;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::response_op::Response;
use ferretcd_api_proto::mvccpb::KeyValue;

use super::super::words::{Base, show_bytes};

/// What responses are shown relative to: the ids expected in every header, and the revision at the case's start.
#[derive(Debug)]
pub(in crate::scenario) struct Shown {
    pub(in crate::scenario) base: Base,
    cluster_id: u64,
    member_id: u64,
    raft_term: u64,
}

impl Shown {
    /// Takes the header of the last response before the case.
    pub(in crate::scenario) fn new(header: &pb::ResponseHeader) -> Self {
        Self {
            base: Base(header.revision),
            cluster_id: header.cluster_id,
            member_id: header.member_id,
            raft_term: header.raft_term,
        }
    }

    pub(in crate::scenario) fn member_id(&self) -> u64 {
        self.member_id
    }

    pub(in crate::scenario) fn header(&self, header: Option<&pb::ResponseHeader>) -> String {
        let Some(header) = header else { return "no header".to_owned() };
        if *header == pb::ResponseHeader::default() {
            return "empty header".to_owned();
        }
        let mut out = format!("rev {}", self.base.show(header.revision));
        if header.cluster_id == 0 && header.member_id == 0 && header.raft_term == 0 {
            out.push_str(" alone");
            return out;
        }
        if header.cluster_id != self.cluster_id || header.cluster_id == 0 {
            out.push_str(" wrong cluster_id");
        }
        if header.member_id != self.member_id || header.member_id == 0 {
            out.push_str(" wrong member_id");
        }
        // Only a restart begins a new term.
        if header.raft_term < self.raft_term || header.raft_term == 0 {
            out.push_str(" wrong raft_term");
        }
        out
    }

    pub(in crate::scenario) fn header_alone(&self, header: Option<&pb::ResponseHeader>) -> Vec<String> {
        vec![self.header(header)]
    }

    fn row(&self, row: &EncodedKeyValue) -> String {
        row.decode().map_or_else(|error| format!("broken row: {error}"), |row| self.decoded_row(&row))
    }

    pub(in crate::scenario) fn decoded_row(&self, row: &KeyValue) -> String {
        let (create, modified) = (self.base.show(row.create_revision), self.base.show(row.mod_revision));
        let mut out = format!(
            "{}={} create {create} mod {modified} ver {}",
            show_bytes(&row.key),
            show_bytes(&row.value),
            row.version
        );
        if row.lease != 0 {
            out.push_str(&format!(" lease {}", row.lease));
        }
        out
    }

    fn rows(&self, rows: &[EncodedKeyValue], brief: bool) -> Vec<String> {
        let key =
            |row: &EncodedKeyValue| row.decode().map_or_else(|e| e.to_string(), |row| show_bytes(&row.key));
        match rows {
            [first, .., last] if brief => {
                vec![format!("{} rows {} to {}", rows.len(), key(first), key(last))]
            }
            rows => rows.iter().map(|row| self.row(row)).collect(),
        }
    }

    pub(in crate::scenario) fn put(&self, response: &pb::PutResponse) -> Vec<String> {
        let mut out = vec![self.header(response.header.as_ref())];
        out.extend(response.prev_kv.iter().map(|row| format!("prev {}", self.row(row))));
        out
    }

    pub(in crate::scenario) fn range(&self, response: &pb::RangeResponse, brief: bool) -> Vec<String> {
        let mut out = vec![self.header(response.header.as_ref())];
        out.extend(self.rows(&response.kvs, brief));
        out.push(self.total(response));
        out
    }

    fn total(&self, response: &pb::RangeResponse) -> String {
        format!("{}count {}", if response.more { "more " } else { "" }, response.count)
    }

    /// One message of a streamed range. Only the last one has a header and a count.
    pub(in crate::scenario) fn chunk(&self, message: &pb::RangeStreamResponse, brief: bool) -> Vec<String> {
        let Some(response) = &message.range_response else { return vec!["empty message".to_owned()] };
        let mut out = vec![format!("message of {}", response.kvs.len())];
        out.extend(self.rows(&response.kvs, brief));
        if response.header.is_some() || response.more || response.count != 0 {
            out.push(self.header(response.header.as_ref()));
            out.push(self.total(response));
        }
        out
    }

    pub(in crate::scenario) fn delete(&self, response: &pb::DeleteRangeResponse) -> Vec<String> {
        let mut out = vec![self.header(response.header.as_ref()), format!("deleted {}", response.deleted)];
        out.extend(response.prev_kvs.iter().map(|row| format!("prev {}", self.row(row))));
        out
    }

    pub(in crate::scenario) fn txn(&self, response: &pb::TxnResponse) -> Vec<String> {
        let verdict = if response.succeeded { "succeeded" } else { "failed" };
        let mut out = vec![self.header(response.header.as_ref()), verdict.to_owned()];
        for operation in &response.responses {
            let (name, lines) = match &operation.response {
                None => ("nothing", Vec::new()),
                Some(Response::ResponseRange(response)) => ("range", self.range(response, false)),
                Some(Response::ResponsePut(response)) => ("put", self.put(response)),
                Some(Response::ResponseDeleteRange(response)) => ("delete", self.delete(response)),
                Some(Response::ResponseTxn(response)) => ("txn", self.txn(response)),
            };
            out.push(format!("  {name}"));
            out.extend(lines.iter().map(|line| format!("    {line}")));
        }
        out
    }

    pub(in crate::scenario) fn hash_kv(&self, response: &pb::HashKvResponse) -> Vec<String> {
        let (compacted, hashed) =
            (self.base.show(response.compact_revision), self.base.show(response.hash_revision));
        vec![
            self.header(response.header.as_ref()),
            format!("hash {:08x} of revision {hashed} compacted {compacted}", response.hash),
        ]
    }

    /// Alarms come in no order.
    pub(in crate::scenario) fn alarm(&self, response: &pb::AlarmResponse) -> Vec<String> {
        let mut alarms: Vec<_> = response
            .alarms
            .iter()
            .map(|alarm| {
                let whose = if alarm.member_id == self.member_id { "own" } else { "foreign" };
                format!("{whose} alarm {}", alarm.alarm)
            })
            .collect();
        alarms.sort();
        [vec![self.header(response.header.as_ref())], alarms].concat()
    }

    /// Sizes and indices differ from run to run: only their relations are shown. The moment at which a new cluster
    /// gets a storage version and the spacing in errors differ too.
    pub(in crate::scenario) fn status(&self, response: &pb::StatusResponse) -> Vec<String> {
        let mut out = vec![
            self.header(response.header.as_ref()),
            format!("version {}", response.version),
            format!("quota {}", response.db_size_quota),
            format!("learner {}", response.is_learner),
        ];
        let downgrade = response.downgrade_info.as_ref();
        out.push(match downgrade {
            Some(info) => {
                format!("downgrade {} to {}", info.enabled, show_bytes(info.target_version.as_bytes()))
            }
            None => "no downgrade info".to_owned(),
        });
        out.extend(response.errors.iter().map(|error| {
            let words: Vec<_> = error.split_whitespace().collect();
            format!("complaint {}", words.join(" ").replace(&self.member_id.to_string(), "MEMBER"))
        }));
        let mut claim = |holds: bool, what: &str| {
            if !holds {
                out.push(format!("{what} does not hold"));
            }
        };
        let storage = ["", "3.5.0", "3.6.0", "3.7.0"].contains(&response.storage_version.as_str());
        claim(storage, "storage version is a known one");
        claim(response.leader == self.member_id, "leader = member");
        claim(response.db_size > 0, "db_size > 0");
        claim((1..=response.db_size).contains(&response.db_size_in_use), "0 < db_size_in_use <= db_size");
        claim(response.raft_index > 0, "raft_index > 0");
        claim((1..=response.raft_index).contains(&response.raft_applied_index), "0 < applied <= raft_index");
        claim(
            response.header.as_ref().is_some_and(|h| h.raft_term == response.raft_term),
            "raft_term = header's",
        );
        out
    }
}
