//! Small values for the tests.

use bytes::Bytes;
use ferretcd_wal::{ConfState, Config, Entry, EntryKind, Metadata, SnapshotMark};

pub(crate) const METADATA: Metadata = Metadata { node_id: 0xabc_def0_1234_5678, cluster_id: 7 };

pub(crate) fn config(segment_bytes: u64) -> Config {
    Config { segment_bytes, unsafe_no_fsync: false }
}

pub(crate) fn entry(term: u64, index: u64, len: usize) -> Entry {
    // A zero byte in between, so that data with zeros is common.
    let data: Vec<u8> = (0..len).map(|i| if i % 7 == 3 { 0 } else { (index as usize + i) as u8 }).collect();
    Entry { term, index, kind: EntryKind::Normal, data: Bytes::from(data) }
}

pub(crate) fn entries(term: u64, indices: std::ops::RangeInclusive<u64>, len: usize) -> Vec<Entry> {
    indices.map(|index| entry(term, index, len)).collect()
}

pub(crate) fn mark(index: u64, term: u64) -> SnapshotMark {
    let conf_state = ConfState { voters: vec![METADATA.node_id, 3], ..ConfState::default() };
    SnapshotMark { index, term, conf_state: Some(conf_state) }
}
