//! The generated packages, each in a module of its name. The files are written by `cargo xtask codegen`.

/// Users, roles and permissions as they are stored.
pub mod authpb {
    include!("generated/authpb.rs");
}

/// The client API, and the requests that travel in log entries.
pub mod etcdserverpb {
    include!("generated/etcdserverpb.rs");
    pub use crate::txn::TxnRequest;
}

/// Leases as they are stored, and as peers request them.
pub mod leasepb {
    include!("generated/leasepb.rs");
}

/// Changes of cluster-wide facts in log entries.
pub mod membershippb {
    include!("generated/membershippb.rs");
}

/// Rows and events of the store.
pub mod mvccpb {
    include!("generated/mvccpb.rs");
    // The row in plain form; as a field it is an `EncodedKeyValue`.
    include!("generated/mvccpb.key_value.rs");
}

/// Raft's records and messages. Every field is optional; absent and zero mean the same.
pub mod raftpb {
    include!("generated/raftpb.rs");
}

/// The content of a `.snap` file.
pub mod snappb {
    include!("generated/snappb.rs");
}

/// Leader elections among clients.
pub mod v3electionpb {
    include!("generated/v3electionpb.rs");
}

/// Named locks.
pub mod v3lockpb {
    include!("generated/v3lockpb.rs");
}

/// Records of the write-ahead log.
pub mod walpb {
    include!("generated/walpb.rs");
}
