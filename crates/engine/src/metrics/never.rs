//! Metrics of etcd about what a member of ferretcd never does.
//!
//! They stand at zero, which is true, so that dashboards that add them up find them.

use prometheus::{Error, Histogram, IntCounter, IntGauge, Registry};

use super::register;

/// Nothing is kept of them, because nothing feeds them.
pub(super) fn register_all(registry: &Registry) -> Result<(), Error> {
    for (name, help, first, count) in HISTOGRAMS {
        register::<Histogram>(registry, (name, help, first, count))?;
    }
    for definition in GAUGES {
        register::<IntGauge>(registry, definition)?;
    }
    for definition in COUNTERS {
        register::<IntCounter>(registry, definition)?;
    }
    Ok(())
}

const HISTOGRAMS: [(&str, &str, f64, usize); 4] = [
    // Raft's snapshots have no files of their own: the state file is one at any time.
    ("etcd_snap_fsync_duration_seconds", "Syncs of .snap files.", 0.001, 14),
    ("etcd_debugging_snap_save_marshalling_duration_seconds", "Encoding of .snap files.", 0.001, 14),
    ("etcd_debugging_snap_save_total_duration_seconds", "Saving of .snap files.", 0.001, 14),
    // The file of a received snapshot is not synced: the state file that is made of it is.
    ("etcd_snap_db_fsync_duration_seconds", "Syncs of .snap.db files.", 0.001, 14),
];

const GAUGES: [(&str, &str); 5] = [
    // The store of version 2 is gone.
    ("etcd_debugging_store_watchers", "Watchers of the store of version 2."),
    // A server is no proxy; etcd's server has these, too.
    ("etcd_grpc_proxy_watchers_coalescing_total", "Watchers that a proxy has put together."),
    ("etcd_grpc_proxy_cache_keys_total", "Keys and ranges in the cache of a proxy."),
    ("etcd_grpc_proxy_cache_hits_total", "Hits in the cache of a proxy."),
    ("etcd_grpc_proxy_cache_misses_total", "Misses in the cache of a proxy."),
];

const COUNTERS: [(&str, &str); 3] = [
    ("etcd_debugging_store_expires_total", "Keys of the store of version 2 that have expired."),
    ("etcd_debugging_store_watch_requests_total", "Requests for watchers of the store of version 2."),
    ("etcd_grpc_proxy_events_coalescing_total", "Events that a proxy has put together."),
];
