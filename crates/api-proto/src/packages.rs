//! The generated packages, each in a module of its name.

/// Declares one module per package from the files that `cargo xtask codegen` writes.
macro_rules! packages {
    ($($(#[doc = $doc:literal])+ $name:ident: $($file:literal),+;)+) => {$(
        $(#[doc = $doc])+
        #[expect(missing_docs, reason = "a field whose name says all has no comment in the schema")]
        pub mod $name {
            $(include!(concat!("generated/", $file));)+
        }
    )+};
}

packages! {
    /// Users, roles and permissions as they are stored.
    authpb: "authpb.rs";
    /// The client API, and the requests that travel in log entries.
    etcdserverpb: "etcdserverpb.rs";
    /// Leases as they are stored, and as peers ask about them.
    leasepb: "leasepb.rs";
    /// Changes of cluster-wide facts in log entries.
    membershippb: "membershippb.rs";
    /// Rows and events of the store.
    mvccpb: "mvccpb.rs", "mvccpb.key_value.rs";
    /// What raft keeps and sends. Every field is optional; absent and zero mean the same.
    raftpb: "raftpb.rs";
    /// The content of a `.snap` file.
    snappb: "snappb.rs";
    /// Leader elections among clients.
    v3electionpb: "v3electionpb.rs";
    /// Named locks.
    v3lockpb: "v3lockpb.rs";
    /// Records of the write-ahead log.
    walpb: "walpb.rs";
}
