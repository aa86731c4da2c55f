//! Members to test, and requests to send to them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{CompactionRequest, PutRequest, RangeRequest};
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_backend::{Backend, Bucket};
use ferretcd_engine::{Caller, Config, Engine, NoPeers, StartError};
use prometheus::Registry;
use tokio::runtime::{Builder, Runtime};

/// Sends every request of the tests.
pub(crate) const CALLER: Caller = Caller::ANONYMOUS;
/// Long enough for any machine; reached only by a member that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One run of a member, with a runtime of its own.
pub(crate) struct Member {
    pub(crate) engine: Engine,
    pub(crate) registry: Registry,
    pub(crate) runtime: Runtime,
}

impl Member {
    pub(crate) fn start(config: Config) -> Self {
        Self::try_start(config, Registry::new()).unwrap_or_else(|error| panic!("failed to {error}"))
    }

    /// Returns when the member takes writes.
    pub(crate) fn try_start(config: Config, registry: Registry) -> Result<Self, StartError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("the system has threads and descriptors");
        let engine = Engine::start(config, Arc::new(NoPeers), &registry, runtime.handle())?;
        runtime.block_on(engine.cluster().publish()).expect("the member runs");
        Ok(Self { engine, registry, runtime })
    }

    /// Starts where something else may hold the directory, and gives up after [`PATIENCE`].
    pub(crate) fn start_in_time(config: Config) -> Self {
        let (started, is_started) = sync_channel(1);
        thread::spawn(move || started.send(Self::start(config)));
        is_started.recv_timeout(PATIENCE).expect("the directory is free")
    }

    pub(crate) fn run<T>(&self, work: impl AsyncFnOnce(&Engine) -> T) -> T {
        self.runtime.block_on(work(&self.engine))
    }

    /// Ends it in order and lets go of everything.
    pub(crate) fn stop(self) {
        self.run(async |engine| engine.stop().await);
    }
}

/// A member that writes its state file at once, in `dir`. Each call is for another run.
pub(crate) fn config(dir: &Path) -> Config {
    static RUNS: AtomicU64 = AtomicU64::new(1);
    // Two runs must be further apart than the number of requests in one of them.
    let run = RUNS.fetch_add(1, Ordering::Relaxed) << 16;
    Config {
        backend_interval: Duration::from_millis(1),
        backend_cache_bytes: 4 << 20,
        row_cache_bytes: 4 << 20,
        compaction_sleep: Duration::from_millis(1),
        slow_apply: Duration::from_secs(60),
        ..Config::new("default", dir, "http://localhost:2380", run)
    }
}

/// As [`config`], but what is applied stays in memory and in the log.
pub(crate) fn lazy(dir: &Path) -> Config {
    Config { backend_interval: Duration::from_secs(3600), ..config(dir) }
}

pub(crate) fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> PutRequest {
    PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() }
}

/// All keys, at a revision, 0 for the newest.
pub(crate) fn everything(revision: i64) -> RangeRequest {
    RangeRequest { key: vec![0].into(), range_end: vec![0].into(), revision, ..RangeRequest::default() }
}

pub(crate) fn compaction(revision: i64, physical: bool) -> CompactionRequest {
    CompactionRequest { revision, physical }
}

/// What a client can see of the state: its revision, the newest rows, and the hash of the history.
pub(crate) async fn state(engine: &Engine) -> (i64, Vec<KeyValue>, u32) {
    let range = engine.kv().range(&CALLER, everything(0)).await.expect("a running member responds");
    let rows = range.kvs.iter().map(|row| row.decode().expect("a stored row")).collect();
    let hash = engine.maintenance().hash_kv(&CALLER, 0).await.expect("nothing is compacted meanwhile").hash;
    (range.header.expect("a response has a header").revision, rows, hash)
}

/// What a kill at this moment would leave behind, in another directory. Of the files only the log may be written to
/// meanwhile: its copy then ends somewhere, as it would in a crash.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a place to copy to");
    for entry in fs::read_dir(from).expect("a directory to copy") {
        let (from, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("an entry");
        if from.is_dir() {
            copy(&from, &to.join(name));
        } else {
            fs::copy(&from, to.join(name)).expect("a file to copy");
        }
    }
}

/// Opens a copy of the state file, which no member has open.
pub(crate) fn state_file(dir: &Path) -> Backend {
    let path = dir.join("member/state.redb");
    Backend::open(&path, &ferretcd_backend::Config { cache_bytes: 1 << 20 }).expect("the copy of a good file")
}

/// Up to which entry a state file holds the log.
pub(crate) fn applied_in(backend: &Backend) -> u64 {
    let row = backend.view().get(Bucket::Meta, b"consistent_index").expect("a readable file");
    row.map_or(0, |row| u64::from_be_bytes(row[..].try_into().expect("eight bytes")))
}
