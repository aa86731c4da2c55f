//! The server of this workspace as a part of the test's own process.

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ferretcd_embed::{Config, End, Server, Url};
use tempfile::TempDir;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Cluster, Ferretcd, Kind, Missing, Options, Program, STOP_WITHIN, StartError};
use crate::spawn_lock::with_spawn_lock;

/// ferretcd as a library, in a thread and a runtime of its own, on a free port. It can't be killed: its destructors
/// always run.
///
/// A member that fails, or a panic of the server's thread, fails the test that stops or drops it.
#[derive(Debug)]
pub struct InProcess {
    dir: TempDir,
    config: Config,
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
        let config = self.config.clone();
        let thread = thread::Builder::new().name("in-process".to_owned()).spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("the system has descriptors for a runtime");
            let started = with_spawn_lock(|| runtime.block_on(Server::builder(config).start()));
            runtime.block_on(async {
                match started {
                    Ok(server) => run(server, ready, stopped).await,
                    Err(error) => drop(ready.send(Err(error.into()))),
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
        let dir = tempfile::Builder::new().prefix("ferretcd-suite-").tempdir()?;
        let config = configure(dir.path(), &options.flags)?;
        let mut cluster = Self { dir, config, running: None };
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

/// Runs a server until a sender of `stopped` ends it, in order or by being dropped.
async fn run(
    server: Server,
    ready: oneshot::Sender<Result<String, StartError>>,
    stopped: oneshot::Receiver<()>,
) {
    let endpoint = server.client_urls()[0].to_string();
    let is_ready = server.ready().await;
    // A test that is gone has dropped the other sender, too.
    let _ = ready.send(is_ready.map(|()| endpoint).map_err(StartError::from));
    let is_orderly = tokio::select! {
        stopped = stopped => stopped.is_ok(),
        end = server.ended() => match end {
            End::Failed(reason) => panic!("the member failed: {reason}"),
            End::Removed => panic!("the member was removed"),
        },
    };
    if is_orderly {
        server.stop().await;
    } else {
        server.abort().await;
    }
}

const QUOTA_BYTES: &str = "--quota-backend-bytes";
const REQUEST_BYTES_MAX: &str = "--max-request-bytes";
const TXN_OPS_MAX: &str = "--max-txn-ops";
const ELECTION_MS: &str = "--election-timeout";
const LEARNERS_MAX: &str = "--max-learners";
const BCRYPT_COST: &str = "--bcrypt-cost";
/// Understood in milliseconds, such as `100ms`.
const WATCH_PROGRESS: &str = "--watch-progress-notify-interval";

/// The configuration of a lone member, with what suites set by flags.
fn configure(data_dir: &Path, flags: &[String]) -> Result<Config, StartError> {
    let mut config = Config::standalone(data_dir);
    // By address, like the members that run as processes: the scenarios compare what `member list` shows.
    let peer_url = Url::parse("http://127.0.0.1:2380").expect("the text is a URL");
    config.cluster.initial_cluster = [(config.name.clone(), vec![peer_url.clone()])].into();
    config.advertise.peer = vec![peer_url];
    for flag in flags {
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        let understood = match name {
            QUOTA_BYTES => quota(value).map(|quota| config.storage.quota_bytes = quota),
            REQUEST_BYTES_MAX => set(&mut config.limits.request_bytes_max, value),
            TXN_OPS_MAX => set(&mut config.limits.txn_ops_max, value),
            ELECTION_MS => value.parse().ok().map(|time| {
                config.raft.election_timeout = Duration::from_millis(time);
            }),
            BCRYPT_COST => set(&mut config.auth.bcrypt_cost, value),
            LEARNERS_MAX => set(&mut config.cluster.learners_max, value),
            WATCH_PROGRESS => milliseconds(value).map(|interval| config.watch_progress_interval = interval),
            _ => None,
        };
        understood.ok_or_else(|| StartError::UnknownFlag {
            flag: flag.clone(),
            known: &[
                QUOTA_BYTES,
                REQUEST_BYTES_MAX,
                TXN_OPS_MAX,
                ELECTION_MS,
                BCRYPT_COST,
                LEARNERS_MAX,
                WATCH_PROGRESS,
            ],
        })?;
    }
    Ok(config)
}

/// Zero stands for the default, a negative number for no quota.
fn quota(value: &str) -> Option<Option<u64>> {
    Some(match value.parse::<i64>().ok()? {
        0 => Config::default().storage.quota_bytes,
        bytes => u64::try_from(bytes).ok(),
    })
}

fn set<T: FromStr>(setting: &mut T, value: &str) -> Option<()> {
    *setting = value.parse().ok()?;
    Some(())
}

fn milliseconds(value: &str) -> Option<Duration> {
    value.strip_suffix("ms")?.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_without_a_setting_are_rejected() {
        fn check(flag: &str) {
            let error = configure(Path::new("unused"), &[flag.to_owned()]).expect_err("nothing is ignored");
            assert!(error.to_string().starts_with(&format!("understand {flag}: ")), "{error}");
        }
        check("--snapshot-count=1");
        check("--max-txn-ops=many");
        check("--max-txn-ops");
        check("--watch-progress-notify-interval=1s");
        let flags = ["--quota-backend-bytes=-1".to_owned()];
        let config = configure(Path::new("unused"), &flags).expect("known");
        assert_eq!((config.storage.quota_bytes, config.limits.txn_ops_max), (None, 128));
    }
}
