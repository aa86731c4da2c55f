//! Expected rows and stored rows.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_tests::Clients;
use tonic::Status;

/// Part of the store, by key.
pub(crate) type Rows = BTreeMap<Bytes, KeyValue>;

/// An atomic change of some keys.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) puts: Vec<(Bytes, Bytes)>,
    pub(crate) deletes: Vec<Bytes>,
}

impl Change {
    /// The rows after this change at this revision.
    pub(crate) fn applied_to(&self, rows: &Rows, revision: i64) -> Rows {
        let mut rows = rows.clone();
        for (key, value) in &self.puts {
            let row = rows.entry(key.clone()).or_insert_with(|| KeyValue {
                key: key.clone(),
                create_revision: revision,
                ..KeyValue::default()
            });
            row.value = value.clone();
            row.mod_revision = revision;
            row.version += 1;
        }
        for key in &self.deletes {
            rows.remove(key);
        }
        rows
    }

    /// The revision of this change, if the rows have it: deletes leave no row.
    pub(crate) fn revision_in(&self, rows: &Rows) -> Option<i64> {
        let (key, value) = self.puts.first()?;
        rows.get(key).filter(|row| row.value == value).map(|row| row.mod_revision)
    }
}

/// Reads all keys with a prefix at a revision, 0 for the newest. Returns the store's revision too.
pub(crate) async fn read(clients: &mut Clients, prefix: &str, revision: i64) -> Result<(i64, Rows), Status> {
    let range = pb::RangeRequest {
        key: prefix.to_owned().into(),
        range_end: format!("{prefix}\u{7f}").into(),
        revision,
        ..Default::default()
    };
    let response = clients.kv.range(range).await?.into_inner();
    let rows = response.kvs.iter().map(|row| {
        let row = row.decode().expect("a server sends rows that can be decoded");
        (row.key.clone(), row)
    });
    Ok((response.header.expect("every response has a header").revision, rows.collect()))
}
