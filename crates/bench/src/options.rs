//! The command line of the task.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::Outcome;
use crate::requests::PAGE_KEYS;
use crate::workload::Workload;

pub(crate) const USAGE: &str = "\
usage: cargo xtask bench [WORKLOAD...] [options]

The same load on ferretcd and on etcd in one run, alternated; medians, ratios first.

workloads (all of them when none is named):
  kv                   put range range-serializable list-small txn memory
                       defrag: puts of 64 clients and a Defragment, after nine of ten keys were deleted
                       idle: no load; size of the program, time from its start to the first response, memory then
  watching             watch watch-keys watch-catchup watch-behind watch-stalled watch-flood watch-idle
                       watch-idle-streams
  leasing              lease-keep-alive lease-expiry lease-revoke
  listing              list-one list-one-stream: one client
                       list-beside list-stalled list-unread: puts of 64 clients beside clients that list and read,
                       that never open their windows again, that never read their sockets
                       cluster-list-beside cluster-list-stalled: the same at the leader of three members
                       event-beside: a put and its event beside lists of 5000 keys
                       count count-beside count-old count-old-beside: alone and beside a writer, now and at an old
                       revision
                       pages pages-fixed: all keys in pages of 500 and in one list; at the moment's revision, at one
  auth                 auth-put auth-range: by a user with 100 of 1000 roles, and the same without authentication
                       auth-login-warm auth-login-cold: one user again and again; each of many users once
                       auth-login-storm: puts of a user while many others log in for the first time, all at once
                       auth-revoke: watches of a user who loses the role that permits them
  http                 gateway-put gateway-range: through the JSON gateway, each client on a connection of its own
                       gateway-watch: as watch, each watcher through the gateway and on a connection of its own
                       metrics: the page of metrics beside as many keys as count has
  list-group list-group-stream
                       64 clients put beside 50 that list, the server in a control group that bounds its memory;
                       skipped where none can be made, and in no group of workloads, because they take minutes
  clusters             cluster-put cluster-put-follower cluster-range: three members
                       cluster-slow-follower cluster-slow-leader: puts and reads while syncs of one member's disk
                       take 150 ms longer, which strace does; skipped without it

  --seconds N          measured time of one load (5)
  --rounds N           how often each server is measured (3); once for memory, watch-idle, watch-idle-streams,
                       lease-expiry, auth-login-cold, auth-login-storm and all of listing
  --clients A,B,...    outstanding requests (1,64,1000); memory, idle, watching, listing, auth, lease-expiry,
                       lease-revoke, cluster-slow-follower and -leader have numbers of their own, the last two 500
                       at most for each of their loads
  --lists A,B,...      clients that list in list-beside, list-stalled, list-unread and the two of clusters
                       (0,1,8,20,50)
  --connections N      TCP connections that the clients share (10)
  --open-loop RATE     send RATE requests/s on a schedule; latency counts from the scheduled time;
                       lease-expiry always does so (1000), and so do event-beside (100), the writer beside counts
                       (1000), and cluster-slow-follower and -leader with puts and with reads from each member (500)
  --keys N             keys that range, list-small and auth-range read from (100000); cluster-slow-follower and
                       -leader have 1000
  --memory-keys N      keys of the memory workload (1000000)
  --value-bytes N      (256)
  --watchers N         watchers of watch, watch-keys, -behind, -stalled and -flood, and of auth-revoke (1000)
  --history N          revisions that watch-catchup, -behind and -stalled find (500000)
  --idle-watchers N    watchers of watch-idle and watch-idle-streams (10000)
  --leases N           leases that lease-expiry abandons, each with a key (100000)
  --lease-ttl N        seconds that they live, at least 2; granting them must not take as long (60)
  --leased-keys N      keys of the lease that lease-revoke revokes (100000)
  --defragmented-keys N  keys of which defrag deletes nine of ten (200000)
  --listed-keys N      keys of a list, of 1 KiB each, and of all pages; a multiple of 500 (100000)
  --counted-keys N     keys that are counted (1000000)
  --group-keys N       keys of a list in list-group, of 1 KiB each (1000000)
  --group-mib N        memory of the server there (512)
  --cold-logins N      users that log in once in auth-login-cold (200)
  --storm-logins N     users that log in at once in auth-login-storm (1000)
  --bcrypt-cost N      what both servers are started with in auth, 4 to 31 (10)
  --only SERVER        measure ferretcd or etcd alone
  --ferretcd PATH      measure this binary instead of building target/release/ferretcd
  --etcd PATH          the etcd to compare with (etcd)
  --data-dir DIR       where data directories are made (bench/ in the target folder)
  --no-pin             leave the placement on cores to the system; with two cores the server gets the first
                       and the generator the second, with another number nothing is pinned
  --json FILE          also write every sample to FILE
  --markdown           print Markdown tables";

/// Servers with default settings make a shorter lease as long as this.
const LEASE_TTL_MIN: u64 = 2;
/// No session has to last longer than a day.
const LEASE_TTL_MAX: u64 = 86_400;
/// What bcrypt can do.
const BCRYPT_COSTS: RangeInclusive<u32> = 4..=31;

/// One of the two programs that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Product {
    Ferretcd,
    Etcd,
}

impl Product {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Product::Ferretcd => "ferretcd",
            Product::Etcd => "etcd",
        }
    }
}

/// What a run does.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) window: Duration,
    pub(crate) rounds: usize,
    pub(crate) clients: Vec<usize>,
    pub(crate) connections: usize,
    /// Requests per second of the schedule; `None` is a closed loop.
    pub(crate) open_loop: Option<f64>,
    pub(crate) keys: u64,
    pub(crate) memory_keys: u64,
    pub(crate) value_bytes: usize,
    pub(crate) watchers: usize,
    /// Revisions of the store that is watched from its beginning.
    pub(crate) history: u64,
    pub(crate) idle_watchers: usize,
    /// Leases that are abandoned.
    pub(crate) leases: u64,
    /// How long they live, in seconds.
    pub(crate) lease_ttl: u64,
    /// Keys of the lease that is revoked.
    pub(crate) leased_keys: u64,
    /// Keys of which nine of ten are deleted.
    pub(crate) defragmented_keys: u64,
    /// Numbers of clients that list.
    pub(crate) lists: Vec<usize>,
    /// Keys of a list.
    pub(crate) listed_keys: u64,
    pub(crate) counted_keys: u64,
    /// Keys of a list that the server has no memory for, and its memory.
    pub(crate) group_keys: u64,
    pub(crate) group_mib: u64,
    /// Users that log in for the first time, one after the other and all at once.
    pub(crate) cold_logins: u64,
    pub(crate) storm_logins: u64,
    /// The binary logarithm of the rounds that hashing a password takes.
    pub(crate) bcrypt_cost: u32,
    /// In the order of measurement within a round.
    pub(crate) products: Vec<Product>,
    pub(crate) ferretcd: Option<PathBuf>,
    pub(crate) etcd: PathBuf,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) pin: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) markdown: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workloads: Workload::ALL.to_vec(),
            window: Duration::from_secs(5),
            rounds: 3,
            clients: vec![1, 64, 1000],
            connections: 10,
            open_loop: None,
            keys: 100_000,
            memory_keys: 1_000_000,
            value_bytes: 256,
            watchers: 1000,
            history: 500_000,
            idle_watchers: 10_000,
            leases: 100_000,
            lease_ttl: 60,
            leased_keys: 100_000,
            defragmented_keys: 200_000,
            lists: vec![0, 1, 8, 20, 50],
            listed_keys: 100_000,
            counted_keys: 1_000_000,
            group_keys: 1_000_000,
            group_mib: 512,
            cold_logins: 200,
            storm_logins: 1000,
            bcrypt_cost: 10,
            products: vec![Product::Ferretcd, Product::Etcd],
            ferretcd: None,
            etcd: PathBuf::from("etcd"),
            data_dir: None,
            pin: true,
            json: None,
            markdown: false,
        }
    }
}

impl Options {
    /// Reads the words after `bench`; both `--name value` and `--name=value` are understood.
    pub(crate) fn parse(words: &[&str]) -> Outcome<Self> {
        let mut options = Options::default();
        let mut workloads = Vec::new();
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                let group = Workload::group(word);
                if group.is_empty() {
                    return Err(format!("no workload {word}\n{USAGE}").into());
                }
                workloads.retain(|workload| !group.contains(workload));
                workloads.extend(group);
                continue;
            }
            let (name, attached) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word, None),
            };
            match name {
                "--no-pin" => options.pin = false,
                "--markdown" => options.markdown = true,
                _ => {
                    let value = attached.or_else(|| words.next());
                    options.set(name, value.ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?)?;
                }
            }
        }
        if !workloads.is_empty() {
            options.workloads = workloads;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Outcome<()> {
        match name {
            "--seconds" => {
                self.window = Duration::try_from_secs_f64(number(name, value)?)
                    .map_err(|_| format!("{name}: {value} is not a length of time"))?;
            }
            "--rounds" => self.rounds = positive(name, value)?,
            "--clients" => {
                self.clients = value.split(',').map(|each| positive(name, each)).collect::<Outcome<_>>()?;
            }
            "--connections" => self.connections = positive(name, value)?,
            "--open-loop" => {
                let rate: f64 = number(name, value)?;
                if !(rate.is_finite() && rate > 0.0) {
                    return Err(format!("{name}: {value} is not a rate").into());
                }
                self.open_loop = Some(rate);
            }
            "--keys" => self.keys = positive(name, value)? as u64,
            "--memory-keys" => self.memory_keys = positive(name, value)? as u64,
            "--watchers" => self.watchers = positive(name, value)?,
            "--history" => self.history = positive(name, value)? as u64,
            "--idle-watchers" => self.idle_watchers = positive(name, value)?,
            "--leases" => self.leases = positive(name, value)? as u64,
            "--lease-ttl" => {
                self.lease_ttl = number(name, value)?;
                if !(LEASE_TTL_MIN..=LEASE_TTL_MAX).contains(&self.lease_ttl) {
                    return Err(
                        format!("{name} must be from {LEASE_TTL_MIN} to {LEASE_TTL_MAX} seconds").into()
                    );
                }
            }
            "--leased-keys" => self.leased_keys = positive(name, value)? as u64,
            "--defragmented-keys" => self.defragmented_keys = positive(name, value)? as u64,
            "--lists" => {
                self.lists = value.split(',').map(|each| number(name, each)).collect::<Outcome<_>>()?;
            }
            "--listed-keys" => {
                self.listed_keys = positive(name, value)? as u64;
                if !self.listed_keys.is_multiple_of(PAGE_KEYS) {
                    return Err(format!("{name} must be a multiple of {PAGE_KEYS}").into());
                }
            }
            "--counted-keys" => self.counted_keys = positive(name, value)? as u64,
            "--group-keys" => self.group_keys = positive(name, value)? as u64,
            "--group-mib" => self.group_mib = positive(name, value)? as u64,
            "--cold-logins" => self.cold_logins = positive(name, value)? as u64,
            "--storm-logins" => self.storm_logins = positive(name, value)? as u64,
            "--bcrypt-cost" => {
                self.bcrypt_cost = number(name, value)?;
                if !BCRYPT_COSTS.contains(&self.bcrypt_cost) {
                    let (least, most) = (BCRYPT_COSTS.start(), BCRYPT_COSTS.end());
                    return Err(format!("{name} must be from {least} to {most}").into());
                }
            }
            "--value-bytes" => self.value_bytes = number(name, value)?,
            "--only" => {
                self.products = [Product::Ferretcd, Product::Etcd]
                    .into_iter()
                    .filter(|product| product.name() == value)
                    .collect();
                if self.products.is_empty() {
                    return Err(format!("{name}: {value} is neither ferretcd nor etcd").into());
                }
            }
            "--ferretcd" => self.ferretcd = Some(value.into()),
            "--etcd" => self.etcd = value.into(),
            "--data-dir" => self.data_dir = Some(value.into()),
            "--json" => self.json = Some(value.into()),
            _ => return Err(format!("no option {name}\n{USAGE}").into()),
        }
        Ok(())
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Outcome<T> {
    value.parse().map_err(|_| format!("{name}: {value} is not a number").into())
}

fn positive(name: &str, value: &str) -> Outcome<usize> {
    match number(name, value)? {
        0 => Err(format!("{name} must be at least 1").into()),
        number => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Options) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(Options::parse(&words).unwrap(), expected, "{line}");
    }

    #[test]
    fn words_and_options_are_read_in_any_order() {
        check("", Options::default());
        check(
            "put --seconds 2.5 list-small --clients=1,64",
            Options {
                workloads: vec![Workload::Put, Workload::ListSmall],
                window: Duration::from_millis(2500),
                clients: vec![1, 64],
                ..Options::default()
            },
        );
        check(
            "watch-keys watching --watchers 10 --history 20 --idle-watchers 30",
            Options {
                workloads: Workload::group("watching"),
                watchers: 10,
                history: 20,
                idle_watchers: 30,
                ..Options::default()
            },
        );
        check(
            "leasing --leases 10 --lease-ttl 2 --leased-keys 30",
            Options {
                workloads: vec![Workload::LeaseKeepAlive, Workload::LeaseExpiry, Workload::LeaseRevoke],
                leases: 10,
                lease_ttl: 2,
                leased_keys: 30,
                ..Options::default()
            },
        );
        check(
            "pages list-group --lists 0,3 --listed-keys 1500 --counted-keys 7 --group-keys 8 --group-mib 9",
            Options {
                workloads: vec![Workload::Pages, Workload::ListGroup],
                lists: vec![0, 3],
                listed_keys: 1500,
                counted_keys: 7,
                group_keys: 8,
                group_mib: 9,
                ..Options::default()
            },
        );
        check(
            "auth --cold-logins 5 --storm-logins 6 --bcrypt-cost 4",
            Options {
                workloads: vec![
                    Workload::AuthPut,
                    Workload::AuthRange,
                    Workload::AuthLoginWarm,
                    Workload::AuthLoginCold,
                    Workload::AuthLoginStorm,
                    Workload::AuthRevoke,
                ],
                cold_logins: 5,
                storm_logins: 6,
                bcrypt_cost: 4,
                ..Options::default()
            },
        );
        check(
            "--only etcd --no-pin --open-loop 1000 --markdown",
            Options {
                products: vec![Product::Etcd],
                pin: false,
                open_loop: Some(1000.0),
                markdown: true,
                ..Options::default()
            },
        );
    }

    #[test]
    fn nonsense_is_rejected() {
        for line in [
            "putt",
            "--secons 3",
            "--seconds",
            "--seconds -1",
            "--rounds 0",
            "--clients 1,",
            "--open-loop 0",
            "--open-loop NaN",
            "--only redis",
            "--leases 0",
            "--lease-ttl 1",
            "--lease-ttl 2.5",
            "--lists -1",
            "--listed-keys 700",
            "--storm-logins 0",
            "--bcrypt-cost 3",
            "--bcrypt-cost 32",
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!(Options::parse(&words).is_err(), "{line}");
        }
    }
}
