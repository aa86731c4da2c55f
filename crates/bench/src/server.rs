//! A server with default settings, apart from addresses, data directories, log level and what a workload is about: a
//! process, or a cluster of several.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::check::Client;
use crate::load::{Load, Pace, Span};
use crate::machine::Placement;
use crate::memory_group::MemoryGroup;
use crate::requests::Requests;
use crate::workload::Workload;
use crate::{Outcome, pause, slow_disk};

const START_TIME_MAX: Duration = Duration::from_secs(300);
/// A leader that was chosen is known to all members after this time at most.
const LEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// The member that has a slow disk, if one has.
pub(crate) const SLOW: usize = 0;

/// A running cluster. Dropping it kills the processes and deletes the data.
#[derive(Debug)]
pub(crate) struct Server {
    members: Vec<Member>,
    /// The member that requests go to.
    entry: usize,
    program: PathBuf,
    /// What the workload sets.
    flags: Vec<String>,
    folder: TempDir,
    placement: Placement,
    /// Bounds the memory of processes that are started from now on.
    group: Option<MemoryGroup>,
    /// From the start of the processes until each has served a request.
    start_time: Duration,
}

/// One of its processes.
#[derive(Debug)]
struct Member {
    /// `None` before the first start.
    child: Option<Child>,
    is_slow: bool,
    name: String,
    folder: PathBuf,
    client: SocketAddr,
    peer: SocketAddr,
}

impl Server {
    /// Starts as many members of `program` as a workload needs on empty data directories below `data_dir`, with these
    /// flags; returns when each has served a request.
    pub(crate) fn start(
        program: &Path,
        flags: Vec<String>,
        workload: Workload,
        data_dir: &Path,
        placement: &Placement,
    ) -> Outcome<Self> {
        let n_members = workload.members();
        let folder = tempfile::Builder::new().prefix("server-").tempdir_in(data_dir)?;
        // All are held until all are known, else two could be the same.
        let listeners: Vec<TcpListener> =
            (0..2 * n_members).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let addresses: Vec<SocketAddr> =
            listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        drop(listeners);
        let members = addresses.chunks_exact(2).enumerate().map(|(index, addresses)| {
            let name = format!("bench{index}");
            let folder = folder.path().join(&name);
            let is_slow = workload.slows_disk() && index == SLOW;
            Member { child: None, is_slow, name, folder, client: addresses[0], peer: addresses[1] }
        });
        let (members, program) = (members.collect(), program.to_owned());
        let (placement, start_time) = (placement.clone(), Duration::ZERO);
        let mut server =
            Self { members, entry: 0, program, flags, folder, placement, group: None, start_time };
        server.spawn_all()?;
        Ok(server)
    }

    /// Kills the processes without warning and starts them again on their data. The time until each has served a request.
    pub(crate) fn crash_and_restart(&mut self) -> Outcome<Duration> {
        self.members.iter_mut().for_each(Member::kill);
        self.spawn_all()?;
        Ok(self.start_time)
    }

    /// Does so, in a group that bounds the memory of the processes together.
    pub(crate) fn restart_in(&mut self, group: MemoryGroup) -> Outcome<Duration> {
        self.group = Some(group);
        self.crash_and_restart()
    }

    /// Members whose process has ended by itself, or was ended by the system.
    pub(crate) fn n_ended(&mut self) -> Outcome<usize> {
        let mut n_ended = 0;
        for member in &mut self.members {
            if let Some(child) = &mut member.child {
                n_ended += usize::from(child.try_wait()?.is_some());
            }
        }
        Ok(n_ended)
    }

    /// Sends requests to the leader from now on, or to a follower. Without a follower nothing changes.
    pub(crate) fn query(&mut self, leader: bool) -> Outcome<()> {
        for (index, member) in self.members.iter().enumerate() {
            if (metric(member.client, "etcd_server_is_leader")? > 0.0) == leader {
                self.entry = index;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends requests to this member from now on.
    pub(crate) fn query_member(&mut self, number: usize) {
        self.entry = number;
    }

    /// Makes a member the leader; returns when all know that.
    pub(crate) fn lead(&self, number: usize) -> Outcome<()> {
        let clients: Vec<Client> =
            self.members.iter().map(|member| Client::connect(member.client)).collect::<Outcome<_>>()?;
        let ids_and_leader = |client: &Client| {
            let status = client.status()?;
            Outcome::Ok((status.header.ok_or("an answer without a header")?.member_id, status.leader))
        };
        let begin = Instant::now();
        let (target, _) = ids_and_leader(&clients[number])?;
        while begin.elapsed() < LEAD_TIME_MAX {
            let said: Vec<_> = clients.iter().map(ids_and_leader).collect::<Outcome<_>>()?;
            if said.iter().all(|(_, leader)| *leader == target) {
                return Ok(());
            }
            let leads = said.iter().position(|(id, leader)| id == leader && *id != target);
            if let Some(leader) = leads {
                clients[leader].move_leader(target)?;
            }
            pause(Duration::from_millis(10));
        }
        Err("a member does not become the leader".into())
    }

    /// The latest term that a member knows.
    pub(crate) fn term(&self) -> Outcome<u64> {
        let terms = self.members.iter().map(|member| Ok(Client::connect(member.client)?.status()?.raft_term));
        Ok(terms.collect::<Outcome<Vec<u64>>>()?.into_iter().max().expect("there is a member"))
    }

    /// Bytes that the members have sent to each other.
    pub(crate) fn peer_bytes(&self) -> Outcome<f64> {
        let mut sum = 0.0;
        for member in &self.members {
            sum += metric(member.client, "etcd_network_peer_sent_bytes_total")?;
        }
        Ok(sum)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address_of(self.entry)
    }

    pub(crate) fn address_of(&self, number: usize) -> SocketAddr {
        self.members[number].client
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.members.iter().filter_map(|member| member.child.as_ref().map(Child::id)).collect()
    }

    /// From the last start of the processes until each had served a request.
    pub(crate) fn start_time(&self) -> Duration {
        self.start_time
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The end of what the server has logged, for error messages.
    pub(crate) fn last_words(&self) -> String {
        let last_lines = |member: &Member| {
            let log = fs::read(member.folder.join("log")).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(5)..].join("\n")
        };
        self.members.iter().map(last_lines).filter(|words| !words.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn spawn_all(&mut self) -> Outcome<()> {
        let begin = Instant::now();
        let cluster = self.members.iter().map(|member| format!("{}=http://{}", member.name, member.peer));
        let cluster = cluster.collect::<Vec<_>>().join(",");
        for member in &mut self.members {
            let command = match &self.group {
                Some(group) => group.command(&self.program),
                None if member.is_slow => slow_disk::command(&self.program),
                None => Command::new(&self.program),
            };
            member.child = Some(member.spawn(command, &cluster, &self.flags, &self.placement)?);
        }
        self.members.iter_mut().try_for_each(Member::await_first_response)?;
        self.start_time = begin.elapsed();
        Ok(())
    }
}

impl Member {
    /// Waits until a linearizable read succeeds: the readiness that users see, whatever the log level.
    fn await_first_response(&mut self) -> Outcome<()> {
        let begin = Instant::now();
        let one = Load { clients: 1, connections: 1, pace: Pace::Closed, span: Span::Requests(1) };
        loop {
            // Any response will do: the key does not exist yet.
            let error = match one.run(self.client, &mut Requests::probe(), |_| Ok(())) {
                Ok(seen) if seen.responses == 1 => return Ok(()),
                Ok(_) => "the first request was refused".into(),
                Err(error) => error,
            };
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                return Err(format!("the server ended with {status}").into());
            }
            if begin.elapsed() > START_TIME_MAX {
                return Err(format!("the server is not ready: {error}").into());
            }
            pause(Duration::from_millis(2));
        }
    }

    fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            // Both fail only when the process has been waited for already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the command, which is the program and what has to stand before it.
    fn spawn(
        &self,
        mut command: Command,
        cluster: &str,
        flags: &[String],
        placement: &Placement,
    ) -> Outcome<Child> {
        let client = format!("http://{}", self.client);
        let peer = format!("http://{}", self.peer);
        fs::create_dir_all(&self.folder)?;
        command
            .args(["--name", &self.name, "--data-dir"])
            .arg(self.folder.join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", cluster])
            .args(flags)
            // Below this level etcd writes a line for each slow request, and is measured writing them.
            .args(["--logger", "zap", "--log-level", "error"])
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("ETCD_")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(self.folder.join("log"))?);
        let child = placement.spawn(|| command.spawn())?;
        child.map_err(|error| format!("{} does not start: {error}", command.get_program().display()).into())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The sum of a metric over its labels, as the server reports it now.
fn metric(address: SocketAddr, name: &str) -> Outcome<f64> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let values = response.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        // Behind the name are labels or the value; anything else is a longer name.
        rest.starts_with(['{', ' ']).then(|| rest.rsplit_once(' ')?.1.parse::<f64>().ok()).flatten()
    });
    Ok(values.sum())
}
