//! A process on an address of its own that finds the other members by discovery.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::{Member, MemberListRequest};
use ferretcd_tests::members::until;
use ferretcd_tests::{Clients, Program};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Founders start at the same time on a machine that may be busy.
pub(crate) const WITHIN: Duration = Duration::from_secs(40);

/// A loopback address, reserved for as long as the listener lives.
pub(crate) fn take() -> (Ipv4Addr, TcpListener) {
    loop {
        let bytes = RandomState::new().build_hasher().finish().to_le_bytes().map(|byte| 2 + byte % 250);
        let address = Ipv4Addr::new(127, bytes[0], bytes[1], bytes[2]);
        if let Ok(taken) = TcpListener::bind((address, 2378)) {
            return (address, taken);
        }
    }
}

/// The executable of a program, built if necessary.
pub(crate) async fn locate<P: Program>() -> PathBuf {
    let found = tokio::task::spawn_blocking(P::locate).await.expect("it does not panic");
    found.unwrap_or_else(|missing| panic!("failed to {missing}"))
}

pub(crate) struct Founder {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    /// The URL that peers connect to; its host is the address unless a test gives it a name.
    peer_url: String,
    /// The system's trusted authority, besides those in the process's flags.
    authorities: Option<PathBuf>,
    executable: PathBuf,
    /// Words before the command.
    prefix: Vec<String>,
    child: Option<Child>,
    dir: TempDir,
    _taken: TcpListener,
}

impl Founder {
    /// A founder that does not run yet.
    pub(crate) fn new(name: &str, executable: &Path) -> Self {
        let (address, taken) = take();
        Self {
            name: name.to_owned(),
            address,
            peer_url: format!("http://{address}:2380"),
            authorities: None,
            executable: executable.to_owned(),
            prefix: Vec::new(),
            child: None,
            dir: tempfile::Builder::new().prefix("ferretcd-founder-").tempdir().expect("there is room"),
            _taken: taken,
        }
    }

    /// The same with another URL and another command prefix.
    pub(crate) fn called(self, peer_url: String, prefix: Vec<String>) -> Self {
        Self { peer_url, prefix, ..self }
    }

    /// The same on a system that trusts an authority.
    pub(crate) fn trusting(self, authority: &Path) -> Self {
        Self { authorities: Some(authority.to_owned()), ..self }
    }

    pub(crate) fn client_url(&self) -> String {
        format!("http://{}:2379", self.address)
    }

    pub(crate) fn clients(&self) -> Clients {
        Clients::lazy(&self.client_url(), Duration::from_secs(10))
    }

    /// A directory that the process does not use.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts it with these flags besides those of its addresses.
    pub(crate) fn spawn(&mut self, flags: &[String]) {
        let scheme = self.peer_url.split(':').next().expect("it has one");
        let (client, listen) = (self.client_url(), format!("{scheme}://{}:2380", self.address));
        let log =
            File::options().create(true).append(true).open(self.log_file()).expect("the log can be opened");
        let words: Vec<String> =
            self.prefix.iter().cloned().chain([self.executable.display().to_string()]).collect();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg(format!("--name={}", self.name))
            .arg(format!("--data-dir={}", self.dir.path().join("data").display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={listen}"))
            .arg(format!("--initial-advertise-peer-urls={}", self.peer_url))
            .args(["--heartbeat-interval=50", "--election-timeout=500"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("there are descriptors"))
            .stderr(log)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ETCD_")) {
            command.env_remove(name);
        }
        command.envs(self.authorities.iter().map(|file| ("SSL_CERT_FILE", file)));
        self.child = Some(command.spawn().expect("it can be started"));
    }

    /// Removes the data of a founder that is down.
    pub(crate) fn wipe(&self) {
        fs::remove_dir_all(self.dir.path().join("data")).expect("it has data");
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Waits for a log line with these words.
    pub(crate) async fn says(&self, words: &str) {
        until(words, WITHIN, async || if self.log().contains(words) { Ok(()) } else { Err(self.log()) })
            .await;
    }

    pub(crate) fn terminate(&self) {
        let pid = self.child.as_ref().and_then(Child::id).and_then(|pid| Pid::from_raw(pid.cast_signed()));
        kill_process(pid.expect("it runs"), Signal::TERM).expect("own children take signals");
    }

    /// Waits for its end.
    pub(crate) async fn exited(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let status = tokio::time::timeout(WITHIN, child.wait()).await;
        status.unwrap_or_else(|_| panic!("it does not end:\n{}", self.log())).expect("it can be waited for")
    }

    /// Waits for a start that fails. Returns the log.
    pub(crate) async fn fails_to_start(&mut self) -> String {
        let status = self.exited().await;
        assert_eq!(status.code(), Some(1), "{}", self.log());
        self.log()
    }
}

/// Waits until each founder lists exactly the names of all founders. Returns the members.
pub(crate) async fn come_together(founders: &[Founder]) -> Vec<Member> {
    let mut names: Vec<_> = founders.iter().map(|founder| founder.name.clone()).collect();
    names.sort();
    let mut members = Vec::new();
    for founder in founders {
        let mut clients = founder.clients();
        members = until("all members", WITHIN, async || {
            let response = clients.cluster.member_list(MemberListRequest { linearizable: true }).await;
            let members =
                response.map_err(|status| format!("{status}\n{}", founder.log()))?.into_inner().members;
            let mut found: Vec<_> = members.iter().map(|member| member.name.clone()).collect();
            found.sort();
            if found == names { Ok(members) } else { Err(format!("{found:?}\n{}", founder.log())) }
        })
        .await;
    }
    members
}
