//! The server of this workspace as a part of the test's own process.

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferretcd_engine::{Alone, Engine};
use ferretcd_grpc_server::Server;
use ferretcd_listen::{Listener, SocketOptions, bind, serve};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Cluster, Ferretcd, Kind, Missing, Options, Program, STOP_WITHIN, StartError};
use crate::alone::alone;

/// ferretcd composed from its crates in a thread and a runtime of its own. Every setting is what the program's flags
/// have as their default. It cannot be killed: whatever ends it runs its destructors.
///
/// A member that fails, or a panic of the server's thread, fails the test that stops or drops it.
#[derive(Debug)]
pub struct InProcess {
    dir: TempDir,
    settings: Settings,
    /// None while the server is down.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    endpoint: String,
    /// Used to end the server in order, dropped to end it at once.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl InProcess {
    async fn launch(&mut self) -> Result<(), StartError> {
        let (ready, is_ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let (dir, settings) = (self.dir.path().to_owned(), self.settings);
        let thread = thread::Builder::new().name("in-process".to_owned()).spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("the system has descriptors for a runtime");
            runtime.block_on(async {
                match Member::start(&dir, settings).await {
                    Ok(member) => {
                        // Nobody to tell means nobody to stop it either: it ends at once.
                        let _ = ready.send(Ok(member.endpoint.clone()));
                        member.run(stopped).await;
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            });
        })?;
        let endpoint = is_ready.await.expect("a server that does not start says why")?;
        self.running = Some(Running { endpoint, stop, thread });
        Ok(())
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        let Some(Running { stop, thread, .. }) = self.running.take() else { return };
        drop(stop);
        let ended = thread.join();
        assert!(ended.is_ok() || thread::panicking(), "the server panicked");
    }
}

impl Cluster for InProcess {
    /// It is the same server, so it answers the same.
    const KIND: Kind = Ferretcd::KIND;

    fn available() -> Result<(), Missing> {
        Ok(())
    }

    async fn start(options: &Options) -> Result<Self, StartError> {
        let settings = Settings::from_flags(&options.flags)?;
        let dir = tempfile::Builder::new().prefix("ferretcd-suite-").tempdir()?;
        let mut cluster = Self { dir, settings, running: None };
        cluster.launch().await?;
        Ok(cluster)
    }

    fn endpoint(&self) -> String {
        self.running.as_ref().map(|running| running.endpoint.clone()).unwrap_or_default()
    }

    fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    fn logs(&self) -> String {
        String::new()
    }

    async fn stop(&mut self) -> io::Result<()> {
        let Some(Running { stop, thread, .. }) = self.running.take() else { return Ok(()) };
        let _ = stop.send(());
        // Clients of this test's runtime have to see the server go, so the wait must not hold it up.
        let ended = tokio::task::spawn_blocking(move || thread.join());
        timeout(STOP_WITHIN, ended).await?.map_err(io::Error::other)?.expect("the server does not panic");
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), StartError> {
        assert!(self.running.is_none(), "only a server that is down can be restarted");
        self.launch().await
    }
}

/// What suites set by flags.
#[derive(Clone, Copy, Debug)]
struct Settings {
    quota_bytes: i64,
    request_bytes_max: usize,
    txn_ops_max: usize,
    election_ms: u64,
    learners_max: usize,
    watch_progress: Duration,
}

const QUOTA_BYTES: &str = "--quota-backend-bytes";
const REQUEST_BYTES_MAX: &str = "--max-request-bytes";
const TXN_OPS_MAX: &str = "--max-txn-ops";
const ELECTION_MS: &str = "--election-timeout";
const LEARNERS_MAX: &str = "--max-learners";
/// Understood in milliseconds, such as `100ms`.
const WATCH_PROGRESS: &str = "--watch-progress-notify-interval";

impl Settings {
    fn from_flags(flags: &[String]) -> Result<Self, StartError> {
        let mut settings = Self {
            quota_bytes: 0,
            request_bytes_max: 1_572_864,
            txn_ops_max: 128,
            election_ms: 1000,
            learners_max: 1,
            watch_progress: Duration::from_secs(600),
        };
        for flag in flags {
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            let understood = match name {
                QUOTA_BYTES => set(&mut settings.quota_bytes, value),
                REQUEST_BYTES_MAX => set(&mut settings.request_bytes_max, value),
                TXN_OPS_MAX => set(&mut settings.txn_ops_max, value),
                ELECTION_MS => set(&mut settings.election_ms, value),
                LEARNERS_MAX => set(&mut settings.learners_max, value),
                WATCH_PROGRESS => milliseconds(value).map(|interval| settings.watch_progress = interval),
                _ => None,
            };
            understood.ok_or_else(|| StartError::UnknownFlag {
                flag: flag.clone(),
                known: &[
                    QUOTA_BYTES,
                    REQUEST_BYTES_MAX,
                    TXN_OPS_MAX,
                    ELECTION_MS,
                    LEARNERS_MAX,
                    WATCH_PROGRESS,
                ],
            })?;
        }
        Ok(settings)
    }
}

fn set<T: FromStr>(setting: &mut T, value: &str) -> Option<()> {
    *setting = value.parse().ok()?;
    Some(())
}

fn milliseconds(value: &str) -> Option<Duration> {
    value.strip_suffix("ms")?.parse().ok().map(Duration::from_millis)
}

/// A member that serves nobody yet.
struct Member {
    endpoint: String,
    listener: Listener,
    engine: Engine,
    server: Server,
}

impl Member {
    async fn start(dir: &Path, settings: Settings) -> Result<Self, StartError> {
        let listener = Listener::plain(bind("127.0.0.1:0", SocketOptions::default())?);
        let endpoint = format!("http://{}", listener.local_addr()?);
        let registry = Registry::new();
        let config = engine_config(dir, &endpoint, settings);
        let runtime = runtime::Handle::current();
        let engine = alone(|| Engine::start(config, Arc::new(Alone), &registry, &runtime))?;
        let pages = ferretcd_http_pages::Config {
            cors: vec!["*".to_owned()],
            host_whitelist: vec!["*".to_owned()],
            read_timeout: engine.config().request_timeout(),
        };
        let server = Server::new(&engine, server_config(settings), pages, &registry)?;
        engine.publish().await.expect("nobody stops it yet");
        Ok(Self { endpoint, listener, engine, server })
    }

    async fn run(self, stopped: oneshot::Receiver<()>) {
        let endpoints = vec![self.server.endpoint(self.listener)];
        let serving = tokio::spawn(serve(endpoints, port_config(), self.server.drain()));
        let is_orderly = tokio::select! {
            told = stopped => told.is_ok(),
            reason = self.engine.failed() => panic!("the member failed: {reason}"),
        };
        if is_orderly {
            self.server.stop();
            serving.await.expect("serving does not panic");
        }
        self.engine.stop().await;
    }
}

fn engine_config(dir: &Path, endpoint: &str, settings: Settings) -> ferretcd_engine::Config {
    ferretcd_engine::Config {
        client_urls: vec![endpoint.to_owned()],
        request_bytes_max: settings.request_bytes_max,
        quota_bytes: settings.quota_bytes,
        election: Duration::from_millis(settings.election_ms),
        learners_max: settings.learners_max,
        // Nobody listens at the peer URL: a sole member has no peers.
        ..ferretcd_engine::Config::new("default", dir, "http://127.0.0.1:2380", unix_ms())
    }
}

fn server_config(settings: Settings) -> ferretcd_grpc_server::Config {
    ferretcd_grpc_server::Config {
        request_bytes_max: settings.request_bytes_max,
        txn_ops_max: settings.txn_ops_max,
        watch_progress_interval: settings.watch_progress,
        slow_request: Duration::from_millis(300),
        extensive_metrics: false,
    }
}

fn port_config() -> ferretcd_listen::Config {
    ferretcd_listen::Config {
        concurrent_streams_max: u32::MAX,
        keepalive_interval: Some(Duration::from_secs(7200)),
        keepalive_timeout: Duration::from_secs(20),
        drain_timeout: Duration::from_secs(5),
    }
}

#[expect(clippy::disallowed_methods, reason = "what the program does at its edge")]
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_without_a_setting_are_refused() {
        fn check(flag: &str) {
            let error = Settings::from_flags(&[flag.to_owned()]).expect_err("nothing is ignored");
            assert!(error.to_string().starts_with(&format!("understand {flag}: ")), "{error}");
        }
        check("--snapshot-count=1");
        check("--max-txn-ops=many");
        check("--max-txn-ops");
        check("--watch-progress-notify-interval=1s");
        let settings = Settings::from_flags(&["--quota-backend-bytes=-1".to_owned()]).expect("known");
        assert_eq!((settings.quota_bytes, settings.txn_ops_max), (-1, 128));
    }
}
