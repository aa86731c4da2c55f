//! Measurements of a server: its own metrics, and its memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use tokio::time::{interval, timeout};

use crate::client::RESPONSE_WITHIN;
use crate::{Cluster, Killable, raw};

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The values of `/metrics` at one moment, by name with labels.
#[derive(Clone, Debug)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads the metrics of a cluster.
    pub async fn of(cluster: &impl Cluster) -> io::Result<Self> {
        Self::at(&cluster.endpoint()).await
    }

    /// Reads the metrics of the member with this client URL.
    pub async fn at(url: &str) -> io::Result<Self> {
        let page = raw::page(url, "/metrics").await?;
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(Self(values.collect()))
    }

    /// Reads the metrics again and again until `reached` holds.
    ///
    /// # Panics
    ///
    /// When it does not hold within 30 s.
    pub async fn until(cluster: &impl Cluster, what: &str, reached: impl Fn(&Self) -> bool) -> Self {
        let mut last = None;
        let wait = async {
            let mut again = interval(LOOK_AGAIN);
            loop {
                again.tick().await;
                let now = Self::of(cluster).await.expect("a running server has metrics");
                if reached(&now) {
                    return now;
                }
                last = Some(now);
            }
        };
        let reached = timeout(RESPONSE_WITHIN, wait).await;
        reached
            .unwrap_or_else(|_| panic!("{what} does not come; there are {:#?}", last.map(Self::of_watches)))
    }

    /// The metrics of watches.
    fn of_watches(self) -> BTreeMap<String, f64> {
        let is_of_watches = |name: &str| name.contains("watch") || name.starts_with("etcd_debugging_mvcc");
        self.0.into_iter().filter(|(name, _)| is_of_watches(name) && !name.contains("bucket")).collect()
    }

    /// One value; none if there is no such metric.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

/// The resident memory of a running server, the `VmRSS` of Linux.
pub fn resident_bytes(server: &impl Killable) -> io::Result<u64> {
    let pid = server.pid().ok_or(io::ErrorKind::NotFound)?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or(io::ErrorKind::InvalidData.into())
}
