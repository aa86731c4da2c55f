//! The kinds of load.

use crate::requests::{KEY_DIGITS, PREFIX, Requests};

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Workload {
    /// Each request writes a key of its own.
    Put,
    /// Linearizable read of one key.
    Range,
    /// Serializable read of one key.
    RangeSerializable,
    /// Linearizable read of 1000 neighbouring keys.
    ListSmall,
    /// Creates a key if it does not exist, which holds each time.
    Txn,
    /// Many keys, then memory, disk and the time to start again.
    Memory,
    /// Puts while the room of deleted keys is given back.
    Defrag,
    /// No load: the start of a server on an empty data directory, and what it takes when idle.
    Idle,
    /// Puts to one key that many watch.
    Watch,
    /// Puts to keys that are watched by one watcher each.
    WatchKeys,
    /// Watchers that read all history, alone.
    WatchCatchup,
    /// Puts while many watchers read all history.
    WatchBehind,
    /// Puts while many watchers that want all history do not read.
    WatchStalled,
    /// Puts with many watchers that do not read.
    WatchFlood,
    /// Idle watchers, many on a stream: their memory.
    WatchIdle,
    /// The same, each on a stream of its own.
    WatchIdleStreams,
    /// Clients that renew a lease each, on a long-lived stream each.
    LeaseKeepAlive,
    /// Many leases without renewal, and puts while they end.
    LeaseExpiry,
    /// Puts while a lease with many keys is revoked.
    LeaseRevoke,
    /// One client that lists: all rows in one message.
    ListOne,
    /// The same as a stream of messages.
    ListOneStream,
    /// Puts beside clients that list.
    ListBeside,
    /// Puts beside clients that list and never open their windows again.
    ListStalled,
    /// Puts beside clients that list with wide windows and never read their sockets.
    ListUnread,
    /// Puts beside clients that list much more than the server has memory for.
    ListGroup,
    /// The same as streams of messages.
    ListGroupStream,
    /// Puts to a key that one client watches, beside clients that list.
    EventBeside,
    /// Counts of all keys, alone and beside a writer; then the same at an old revision.
    Count,
    CountBeside,
    CountOld,
    CountOldBeside,
    /// All keys page by page, and in one list; then the same at one revision.
    Pages,
    PagesFixed,
    /// Puts on a server with authentication on, by a user with a hundred of a thousand roles.
    AuthPut,
    /// Linearizable reads of one key in the same way.
    AuthRange,
    /// Logins of one user, again and again.
    AuthLoginWarm,
    /// Logins of many users, each for the first time.
    AuthLoginCold,
    /// Puts while many users log in for the first time, all at once.
    AuthLoginStorm,
    /// Watches of a user that loses the role that permits them.
    AuthRevoke,
    /// Puts through the JSON gateway.
    GatewayPut,
    /// Linearizable reads of one key through it.
    GatewayRange,
    /// Puts to a key that many watch through it, each on a connection of its own.
    GatewayWatch,
    /// Reads of the page of metrics, beside many keys.
    Metrics,
    /// Puts to the leader of three members.
    ClusterPut,
    /// Puts to a member that has to forward them.
    ClusterPutFollower,
    /// Linearizable reads of one key from a member that does not lead.
    ClusterRange,
    /// Puts, and linearizable reads from each of three members, of which one that does not lead has a slow disk.
    ClusterSlowFollower,
    /// The same while the slow disk is that of the leader.
    ClusterSlowLeader,
    /// Puts to the leader of three members beside clients that list from it.
    ClusterListBeside,
    /// The same with clients that never open their windows again.
    ClusterListStalled,
}

impl Workload {
    pub(crate) const ALL: [Workload; 50] = [
        Workload::Put,
        Workload::Range,
        Workload::RangeSerializable,
        Workload::ListSmall,
        Workload::Txn,
        Workload::Memory,
        Workload::Defrag,
        Workload::Idle,
        Workload::Watch,
        Workload::WatchKeys,
        Workload::WatchCatchup,
        Workload::WatchBehind,
        Workload::WatchStalled,
        Workload::WatchFlood,
        Workload::WatchIdle,
        Workload::WatchIdleStreams,
        Workload::LeaseKeepAlive,
        Workload::LeaseExpiry,
        Workload::LeaseRevoke,
        Workload::ListOne,
        Workload::ListOneStream,
        Workload::ListBeside,
        Workload::ListStalled,
        Workload::ListUnread,
        Workload::ListGroup,
        Workload::ListGroupStream,
        Workload::EventBeside,
        Workload::Count,
        Workload::CountBeside,
        Workload::CountOld,
        Workload::CountOldBeside,
        Workload::Pages,
        Workload::PagesFixed,
        Workload::AuthPut,
        Workload::AuthRange,
        Workload::AuthLoginWarm,
        Workload::AuthLoginCold,
        Workload::AuthLoginStorm,
        Workload::AuthRevoke,
        Workload::GatewayPut,
        Workload::GatewayRange,
        Workload::GatewayWatch,
        Workload::Metrics,
        Workload::ClusterPut,
        Workload::ClusterPutFollower,
        Workload::ClusterRange,
        Workload::ClusterSlowFollower,
        Workload::ClusterSlowLeader,
        Workload::ClusterListBeside,
        Workload::ClusterListStalled,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Workload::Put => "put",
            Workload::Range => "range",
            Workload::RangeSerializable => "range-serializable",
            Workload::ListSmall => "list-small",
            Workload::Txn => "txn",
            Workload::Memory => "memory",
            Workload::Defrag => "defrag",
            Workload::Idle => "idle",
            Workload::Watch => "watch",
            Workload::WatchKeys => "watch-keys",
            Workload::WatchCatchup => "watch-catchup",
            Workload::WatchBehind => "watch-behind",
            Workload::WatchStalled => "watch-stalled",
            Workload::WatchFlood => "watch-flood",
            Workload::WatchIdle => "watch-idle",
            Workload::WatchIdleStreams => "watch-idle-streams",
            Workload::LeaseKeepAlive => "lease-keep-alive",
            Workload::LeaseExpiry => "lease-expiry",
            Workload::LeaseRevoke => "lease-revoke",
            Workload::ListOne => "list-one",
            Workload::ListOneStream => "list-one-stream",
            Workload::ListBeside => "list-beside",
            Workload::ListStalled => "list-stalled",
            Workload::ListUnread => "list-unread",
            Workload::ListGroup => "list-group",
            Workload::ListGroupStream => "list-group-stream",
            Workload::EventBeside => "event-beside",
            Workload::Count => "count",
            Workload::CountBeside => "count-beside",
            Workload::CountOld => "count-old",
            Workload::CountOldBeside => "count-old-beside",
            Workload::Pages => "pages",
            Workload::PagesFixed => "pages-fixed",
            Workload::AuthPut => "auth-put",
            Workload::AuthRange => "auth-range",
            Workload::AuthLoginWarm => "auth-login-warm",
            Workload::AuthLoginCold => "auth-login-cold",
            Workload::AuthLoginStorm => "auth-login-storm",
            Workload::AuthRevoke => "auth-revoke",
            Workload::GatewayPut => "gateway-put",
            Workload::GatewayRange => "gateway-range",
            Workload::GatewayWatch => "gateway-watch",
            Workload::Metrics => "metrics",
            Workload::ClusterPut => "cluster-put",
            Workload::ClusterPutFollower => "cluster-put-follower",
            Workload::ClusterRange => "cluster-range",
            Workload::ClusterSlowFollower => "cluster-slow-follower",
            Workload::ClusterSlowLeader => "cluster-slow-leader",
            Workload::ClusterListBeside => "cluster-list-beside",
            Workload::ClusterListStalled => "cluster-list-stalled",
        }
    }

    /// The workloads that a word stands for; none when it stands for nothing.
    pub(crate) fn group(word: &str) -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|workload| match word {
                "kv" => workload.is_plain() && workload.members() == 1,
                "watching" => workload.watches() && !workload.is_http(),
                "leasing" => workload.leases(),
                // What takes minutes has to be named.
                "listing" => workload.lists() && !workload.bounds_memory(),
                "auth" => workload.authenticates(),
                "http" => workload.is_http(),
                "clusters" => workload.members() > 1 && !workload.lists(),
                _ => workload.name() == word,
            })
            .collect()
    }

    /// Is it about keys alone?
    fn is_plain(self) -> bool {
        !self.watches() && !self.leases() && !self.lists() && !self.authenticates() && !self.is_http()
    }

    /// Does it read keys, and nothing else?
    pub(crate) fn reads_only(self) -> bool {
        matches!(
            self,
            Workload::Range
                | Workload::RangeSerializable
                | Workload::ListSmall
                | Workload::GatewayRange
                | Workload::ClusterRange
        )
    }

    /// Does it leave the keys as it found them?
    pub(crate) fn keeps_keys(self) -> bool {
        self.reads_only()
            || matches!(
                self,
                Workload::LeaseKeepAlive
                    | Workload::AuthRange
                    | Workload::AuthLoginWarm
                    | Workload::AuthLoginCold
                    | Workload::Metrics
            )
    }

    /// How many members does the cluster have?
    pub(crate) fn members(self) -> usize {
        if self >= Workload::ClusterPut { 3 } else { 1 }
    }

    /// Do requests go to the leader? With one member they do.
    pub(crate) fn queries_leader(self) -> bool {
        !matches!(self, Workload::ClusterPutFollower | Workload::ClusterRange)
    }

    /// Has a member a slow disk?
    pub(crate) fn slows_disk(self) -> bool {
        matches!(self, Workload::ClusterSlowFollower | Workload::ClusterSlowLeader)
    }

    /// Are there watchers?
    pub(crate) fn watches(self) -> bool {
        (Workload::Watch..=Workload::WatchIdleStreams).contains(&self) || self == Workload::GatewayWatch
    }

    /// Are there leases?
    pub(crate) fn leases(self) -> bool {
        (Workload::LeaseKeepAlive..=Workload::LeaseRevoke).contains(&self)
    }

    /// Are there large lists, counts or pages?
    pub(crate) fn lists(self) -> bool {
        (Workload::ListOne..=Workload::PagesFixed).contains(&self)
            || matches!(self, Workload::ClusterListBeside | Workload::ClusterListStalled)
    }

    /// Are there users?
    pub(crate) fn authenticates(self) -> bool {
        (Workload::AuthPut..=Workload::AuthRevoke).contains(&self)
    }

    /// Do clients speak HTTP without gRPC?
    pub(crate) fn is_http(self) -> bool {
        (Workload::GatewayPut..=Workload::Metrics).contains(&self)
    }

    /// Is the memory of the server bounded?
    pub(crate) fn bounds_memory(self) -> bool {
        matches!(self, Workload::ListGroup | Workload::ListGroupStream)
    }

    /// Does it need a store with much history?
    pub(crate) fn needs_history(self) -> bool {
        matches!(self, Workload::WatchCatchup | Workload::WatchBehind | Workload::WatchStalled)
    }

    /// Is it about memory at rest?
    pub(crate) fn rests(self) -> bool {
        matches!(self, Workload::Memory | Workload::WatchIdle | Workload::WatchIdleStreams)
    }

    /// Is one round enough, because the numbers do not vary, or because it takes long?
    pub(crate) fn needs_one_round(self) -> bool {
        self.rests()
            || self.lists()
            || matches!(self, Workload::LeaseExpiry | Workload::AuthLoginCold | Workload::AuthLoginStorm)
    }

    /// Requests of this load against a store of the keys `0..keys`.
    pub(crate) fn requests(self, keys: u64, value_bytes: usize) -> Requests {
        let row_bytes = PREFIX.len() + KEY_DIGITS + value_bytes;
        match self {
            Workload::Txn => Requests::create(value_bytes),
            Workload::Range | Workload::AuthRange | Workload::ClusterRange => {
                Requests::range(false, keys, row_bytes)
            }
            Workload::RangeSerializable => Requests::range(true, keys, row_bytes),
            Workload::ListSmall => Requests::list(keys, row_bytes),
            Workload::LeaseKeepAlive => Requests::keep_alive(),
            Workload::GatewayPut => Requests::gateway_put(10_u64.pow(KEY_DIGITS as u32), value_bytes),
            Workload::GatewayRange => Requests::gateway_range(keys, row_bytes),
            Workload::Metrics => Requests::metrics(),
            _ => Requests::put(10_u64.pow(KEY_DIGITS as u32), value_bytes),
        }
    }
}
