//! Kinds of runs.

/// The settings of a run. The seed decides everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name on the command line.
    pub name: &'static str,
    /// Voters that the cluster starts with.
    pub n_members: u64,
    /// Clients, each with one request at a time.
    pub n_clients: usize,
    /// Watches, each on a stream of its own.
    pub n_watchers: usize,
    /// Percent of the faults that are changes of the members, instead of anything else.
    pub changes: u64,
    /// Whether single messages are lost or late while there are faults.
    pub loses_messages: bool,
    /// Whether messages of one stream overtake each other while there are faults, as they may when a connection is
    /// replaced.
    pub reorders_messages: bool,
    /// Percent of the faults that make a disk slow, instead of anything else.
    pub slow_disks: u64,
    /// Applied entries that a member keeps for others; a member that needs older ones gets a snapshot.
    pub catchup_entries: u64,
    /// Committed entries that wait to be applied before the core keeps the rest.
    pub unapplied_max: u64,
    /// Longest pause of a client between two requests, in milliseconds.
    pub pause_ms: u64,
    /// Milliseconds with faults.
    pub faults_ms: u64,
    /// Milliseconds without, behind them.
    pub healed_ms: u64,
    /// The longest time to live of a lease, in seconds.
    pub lease_ttl_max: i64,
    /// Longest pause between two faults, in milliseconds.
    pub fault_pause_ms: u64,
}

const THREE: Profile = Profile {
    name: "three",
    n_members: 3,
    n_clients: 5,
    n_watchers: 3,
    changes: 0,
    loses_messages: true,
    reorders_messages: false,
    slow_disks: 15,
    catchup_entries: 200,
    unapplied_max: 500,
    pause_ms: 60,
    faults_ms: 15_000,
    healed_ms: 8_000,
    lease_ttl_max: 8,
    fault_pause_ms: 1_500,
};

impl Profile {
    /// All there are.
    pub const ALL: [Self; 9] = [
        THREE,
        Self { name: "five", n_members: 5, ..THREE },
        Self { name: "exchange", changes: 50, catchup_entries: 40, ..THREE },
        Self { name: "one", n_members: 1, changes: 50, reorders_messages: true, ..THREE },
        Self { name: "snapshots", catchup_entries: 5, ..THREE },
        Self { name: "slow", slow_disks: 80, ..THREE },
        Self { name: "storm", fault_pause_ms: 400, ..THREE },
        Self {
            name: "disorder",
            changes: 20,
            reorders_messages: true,
            catchup_entries: 15,
            unapplied_max: 8,
            // Many short runs find more orders than few long ones.
            n_clients: 2,
            n_watchers: 1,
            faults_ms: 5_000,
            healed_ms: 6_000,
            ..THREE
        },
        Self {
            name: "leases",
            loses_messages: false,
            n_clients: 2,
            n_watchers: 1,
            pause_ms: 5_000,
            faults_ms: 1_500_000,
            healed_ms: 20_000,
            lease_ttl_max: 600,
            fault_pause_ms: 300_000,
            ..THREE
        },
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    /// The default profile of a seed.
    pub fn of_seed(seed: u64) -> Self {
        Self::ALL[(seed % Self::ALL.len() as u64) as usize]
    }
}
