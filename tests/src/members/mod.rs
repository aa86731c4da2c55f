//! Clusters of several processes of one program.
//!
//! [`Members`] is such a cluster: each member is a process with a loopback address of its own and etcd's usual ports
//! on it, so that no search for free ports is needed and no two members clash. Between the members is a [`Network`]:
//! nothing, a proxy before each member that can hold traffic back, or network namespaces between which packets are
//! dropped. A member is identified by its number, in the order of creation.
//!
//! Nothing here sleeps for a fixed time: [`until`] polls up to a deadline. A step that fails panics with what it
//! waited for, and the end of all logs is written to stderr.
//!
//! [`Together`] has the interface of a single server, for suites that need nothing else.
//!
//! [`history`] runs clients against the members and checks the responses.

mod change;
mod command;
mod disk;
pub mod history;
mod home;
mod links;
mod member;
mod namespaces;
mod on_every_program;
mod retry;
mod setup;
mod slow;
mod status;
mod together;
mod until;

use std::io;
use std::marker::PhantomData;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use ferretcd_client::Credentials;
use rustix::process::Signal;
use tempfile::TempDir;

use self::disk::Disk;
use self::home::Home;
use self::links::Links;
use self::member::{Beginning, Member};
use self::namespaces::Lab;
use crate::{Clients, Program, StartError, report};

pub use self::retry::Retrying;
pub use self::setup::{Network, Setup};
pub use self::together::Together;
pub(crate) use self::until::Attempts;
pub use self::until::{DEADLINE, until};

/// A request that takes longer fails, unless a test makes its own clients.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// A member that takes longer to end is taken for hanging.
const EXIT_WITHIN: Duration = Duration::from_secs(20);
/// This much of each log is shown when a test fails.
const LINES_SHOWN: usize = 25;

/// The heartbeat interval of these clusters.
pub const HEARTBEAT: Duration = Duration::from_millis(50);
/// The election timeout of these clusters.
pub const ELECTION: Duration = Duration::from_millis(500);

#[derive(Debug)]
enum Between {
    Nothing,
    Links(Links),
    Lab(Lab),
}

/// A cluster of processes that run the program `P`. Dropping it kills all of them.
#[derive(Debug)]
pub struct Members<P: Program> {
    executable: PathBuf,
    flags: Vec<String>,
    members: Vec<Member>,
    between: Between,
    /// One for each member, or none at all.
    disks: Vec<Disk>,
    has_disks: bool,
    /// Of the first member.
    has_slow_disk: bool,
    is_secured: bool,
    /// Sends the requests about the members' state.
    user: Option<Credentials>,
    dir: TempDir,
    program: PhantomData<P>,
}

impl<P: Program> Members<P> {
    /// Starts a new cluster and waits until each member serves linearizable reads.
    ///
    /// # Panics
    ///
    /// When a member does not serve in time.
    pub async fn start(setup: &Setup) -> Self {
        let mut cluster = Self::prepare(setup).await.unwrap_or_else(|error| panic!("failed to {error}"));
        for number in 0..setup.size {
            cluster.spawn(number);
        }
        for number in 0..setup.size {
            cluster.ready(number).await;
        }
        cluster
    }

    /// Prepares a cluster without starting its members.
    pub async fn prepare(setup: &Setup) -> Result<Self, StartError> {
        // This may build the program, which must not block a worker of the runtime.
        let executable = tokio::task::spawn_blocking(P::locate).await.map_err(io::Error::other)??;
        let between = match setup.network {
            Network::Direct => Between::Nothing,
            Network::Links => Between::Links(Links::default()),
            Network::Namespaces => Between::Lab(Lab::new()?),
        };
        let ticks = [("heartbeat-interval", HEARTBEAT), ("election-timeout", ELECTION)];
        let ticks = ticks.iter().map(|(flag, time)| format!("--{flag}={}", time.as_millis()));
        let mut cluster = Self {
            executable,
            flags: ticks.chain(setup.flags.iter().cloned()).collect(),
            members: Vec::new(),
            between,
            disks: Vec::new(),
            has_disks: setup.disks,
            has_slow_disk: setup.has_slow_disk,
            is_secured: setup.is_secured,
            user: setup.user.clone(),
            dir: tempfile::Builder::new().prefix("ferretcd-members-").tempdir()?,
            program: PhantomData,
        };
        for _ in 0..setup.size {
            cluster.settle().await?;
        }
        let (names, token) = (cluster.initial_cluster(), cluster.members[0].peer_url());
        for member in &mut cluster.members {
            member.beginning = Beginning { cluster: names.clone(), is_new: true, token: token.clone() };
        }
        Ok(cluster)
    }

    /// Prepares one more member.
    async fn settle(&mut self) -> io::Result<usize> {
        let number = self.members.len();
        let mut home = match &mut self.between {
            Between::Nothing => Home::direct()?,
            Between::Links(links) => links.settle(number).await?,
            Between::Lab(lab) => lab.settle(number)?,
        };
        home.is_peer_secure = self.is_secured;
        let mut data_dir = self.dir.path().join(format!("m{number}"));
        if self.has_disks {
            self.disks.push(Disk::new(&data_dir)?);
            data_dir.push("data");
        }
        self.members.push(Member::new(format!("m{number}"), home, data_dir));
        Ok(number)
    }

    /// The flag's value: `name=url` of all members that are not forgotten.
    fn initial_cluster(&self) -> String {
        let members = self.members.iter().filter(|member| !member.is_removed);
        members.map(|member| format!("{}={}", member.name, member.peer_url())).collect::<Vec<_>>().join(",")
    }

    /// How many members were ever created.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// The members whose processes run.
    pub fn running(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|&number| self.members[number].is_running()).collect()
    }

    /// The member's name.
    pub fn name(&self, number: usize) -> &str {
        &self.members[number].name
    }

    /// The address it listens on.
    pub fn address(&self, number: usize) -> Ipv4Addr {
        self.members[number].home.address
    }

    /// The member's client URL.
    pub fn client_url(&self, number: usize) -> String {
        self.members[number].client_url()
    }

    /// The client URLs of some members.
    pub fn client_urls(&self, numbers: &[usize]) -> Vec<String> {
        numbers.iter().map(|&number| self.client_url(number)).collect()
    }

    /// The URL that peers connect to.
    pub fn peer_url(&self, number: usize) -> String {
        self.members[number].peer_url()
    }

    /// The member's data directory.
    pub fn data_dir(&self, number: usize) -> &std::path::Path {
        &self.members[number].data_dir
    }

    /// Everything that the member has logged.
    pub fn logs(&self, number: usize) -> String {
        self.members[number].log.text()
    }

    /// Clients of one member. They connect at their first request.
    pub fn clients(&self, number: usize) -> Clients {
        Clients::lazy(&self.client_url(number), REQUEST_WITHIN)
    }

    /// From its next start on the member runs another program, which takes the same flags.
    ///
    /// # Panics
    ///
    /// When the program is not available.
    pub async fn run_as<Q: Program>(&mut self, number: usize) {
        let located = tokio::task::spawn_blocking(Q::locate).await.expect("looking for it does not panic");
        let executable = located.unwrap_or_else(|missing| panic!("failed to {missing}"));
        self.members[number].executable = Some(executable);
    }

    /// Gives a member these further flags from its next start on.
    pub fn give(&mut self, number: usize, flags: &[impl AsRef<str>]) {
        self.members[number].flags = flags.iter().map(|flag| flag.as_ref().to_owned()).collect();
    }

    /// Starts a member that is down, without waiting for it.
    pub fn spawn(&mut self, number: usize) {
        self.spawn_with(number, &[]);
    }

    /// As [`spawn`](Self::spawn), with flags for this start only.
    pub fn spawn_with(&mut self, number: usize, flags: &[&str]) {
        let mut prefix = match &self.between {
            Between::Lab(lab) => lab.prefix(number),
            _ => Vec::new(),
        };
        if self.has_slow_disk && number == 0 {
            prefix.extend(ferretcd_testkit::slow_disk::prefix());
        }
        let own = self.members[number].flags.clone();
        let lasting = self.flags.iter().chain(&own).map(String::as_str);
        let all: Vec<_> = lasting.chain(flags.iter().copied()).collect();
        let member = &mut self.members[number];
        let spawned = member.spawn::<P>(&prefix, &self.executable, &all);
        let pid = spawned.unwrap_or_else(|error| panic!("failed to spawn {}: {error}", member.name));
        if let Between::Links(links) = &self.between {
            links.runs_as(number, pid);
        }
    }

    /// Starts a member that is down on its own data and waits until it serves.
    pub async fn restart(&mut self, number: usize) {
        self.spawn(number);
        self.ready(number).await;
    }

    /// Starts a member that is down, and kills it when it has logged so many lines or serves clients. Returns whether it
    /// did serve.
    pub async fn spawn_and_kill9_after(&mut self, number: usize, lines: usize) -> bool {
        self.spawn(number);
        let is_ready = self.members[number].logged(lines).await;
        self.kill9(number).await;
        is_ready
    }

    /// Kills a member.
    pub async fn kill9(&mut self, number: usize) {
        self.members[number].signal(Signal::KILL);
        self.exited(number).await;
    }

    /// Terminates a member and waits until it has ended.
    pub async fn stop(&mut self, number: usize) -> ExitStatus {
        self.terminate(number);
        self.exited(number).await
    }

    /// Terminates a member, without waiting for it.
    pub fn terminate(&self, number: usize) {
        self.members[number].signal(Signal::TERM);
    }

    /// Pauses a member's process. It keeps its connections and does nothing.
    pub fn pause(&self, number: usize) {
        self.members[number].signal(Signal::STOP);
    }

    /// Lets a paused member go on.
    pub fn go_on(&self, number: usize) {
        self.members[number].signal(Signal::CONT);
    }

    /// Freezes the disk of a member: its writes and syncs wait for [`thaw`](Self::thaw).
    ///
    /// # Panics
    ///
    /// When the members have no disks of their own.
    pub fn freeze(&self, number: usize) {
        self.disks[number].freeze().expect("a mounted file system can be frozen");
    }

    /// Lets the disk of a member go on.
    pub fn thaw(&self, number: usize) {
        self.disks[number].thaw().expect("a frozen file system can be thawed");
    }

    /// Waits until a member has ended by itself.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub async fn exited(&mut self, number: usize) -> ExitStatus {
        let member = &mut self.members[number];
        let exited = tokio::time::timeout(EXIT_WITHIN, member.reap()).await;
        let exited = exited.unwrap_or_else(|_| panic!("{} does not end in {EXIT_WITHIN:?}", member.name));
        exited.expect("a child can be waited for")
    }

    /// Removes the data of a member that is down.
    pub fn wipe(&mut self, number: usize) {
        let member = &self.members[number];
        assert!(!member.is_running(), "only a member that is down can lose its data");
        std::fs::remove_dir_all(&member.data_dir).expect("the data directory can be removed");
    }

    /// Cuts the direction from one member to another. What is in flight may still arrive.
    ///
    /// # Panics
    ///
    /// When the network between the members cannot be cut.
    pub fn cut(&self, from: usize, to: usize) {
        match &self.between {
            Between::Nothing => panic!("these members are not apart"),
            Between::Links(links) => links.set_open(from, to, false),
            Between::Lab(lab) => lab.cut(from, to),
        }
    }

    /// Cuts a member off from all others, in both directions.
    pub fn isolate(&self, number: usize) {
        for other in (0..self.count()).filter(|&other| other != number) {
            self.cut(number, other);
            self.cut(other, number);
        }
    }

    /// Restores all directions.
    pub fn heal(&self) {
        match &self.between {
            Between::Nothing => (),
            Between::Links(links) => links.open_all(),
            Between::Lab(lab) => lab.heal(),
        }
    }

    /// Delays everything that one member sends to another by this much. Only for [`Network::Links`].
    pub fn delay(&self, from: usize, to: usize, delay: Duration) {
        let Between::Links(links) = &self.between else { panic!("these members are not apart") };
        links.set_delay(from, to, delay);
    }

    fn show_logs(&self) {
        let kept = tempfile::Builder::new().prefix("ferretcd-logs-").disable_cleanup(true).tempdir();
        for member in &self.members {
            let log = member.log.text();
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
            report::shown(&format!("==== the last lines of {} at {} ====\n{last}", member.name, member.home));
            if let Ok(dir) = &kept {
                // The logs are a help only: an error here must not hide the failure.
                let _ = std::fs::write(dir.path().join(format!("{}.log", member.name)), log);
            }
        }
        if let Ok(dir) = &kept {
            report::shown(&format!("==== whole logs are in {} ====", dir.path().display()));
        }
    }
}

impl<P: Program> Drop for Members<P> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
    }
}
