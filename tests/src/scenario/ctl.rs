//! The language of etcdctl.
//!
//! A request is a command line without the program's name; with `http` in front, the endpoint is given as a URL and
//! not as host and port. Lines below it that begin with `<` are its stdin, a line with `&` is a second command line,
//! run once the first has written a line. A command behind `until N` is ended when it has written `N` lines; below
//! it `after N put a 1` is a command line that runs after `N` lines, and `after N < progress` is further stdin.
//! `LEASE1` stands for the first lease granted in the case, in responses too. Of several members, each command is sent
//! to the next one.
//!
//! The response shows stdout lines behind `|`, stderr lines behind `!` (`\` ends a line without a line feed) and the
//! exit status when it isn't 0. A protobuf response is shown decoded. Values that differ from run to run are
//! replaced: ids, terms, log indices, sizes, durations, addresses; log lines of the client library are left out.

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb as pb;
use prost::Message as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::kv::Shown;
use super::run::Session;
use super::until::{Step, What, until};
use super::words::{self, number};
use crate::cluster::in_path;
use crate::spawn_lock::with_spawn_lock;
use crate::{Clients, Cluster, Missing};

/// A command that takes longer is taken for hanging.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// Runs stock etcdctl. Every case has a cluster of its own, so revisions in the output are what they are.
#[derive(Debug)]
pub struct CtlSession {
    /// Host and port of each member.
    endpoints: Vec<String>,
    /// The one that gets the next command.
    next: usize,
    shown: Shown,
    /// Texts of the output, and what is shown for each.
    replacements: Vec<(String, &'static str)>,
    /// The leases that were granted, in etcdctl's form.
    leases: Vec<String>,
}

impl CtlSession {
    /// Whether there is an etcdctl of release 3.4 on this machine: output differs between releases.
    pub async fn available() -> Result<(), Missing> {
        in_path("etcdctl", "etcd-client")?;
        let mut etcdctl = Command::new("etcdctl");
        etcdctl.env("ETCDCTL_API", "3").arg("version").stdout(Stdio::piped());
        let output = match with_spawn_lock(|| etcdctl.spawn()) {
            Ok(child) => child.wait_with_output().await,
            Err(error) => Err(error),
        };
        let version = output.map_or_else(|error| error.to_string().into_bytes(), |output| output.stdout);
        let version = String::from_utf8_lossy(&version).lines().next().unwrap_or_default().to_owned();
        match version.starts_with("etcdctl version: 3.4.") {
            true => Ok(()),
            false => Err(Missing::OtherVersion { program: "etcdctl", wanted: "3.4", found: version }),
        }
    }
}

impl<C: Cluster> Session<C> for CtlSession {
    const FRESH: bool = true;

    async fn open(cluster: &C) -> Self {
        let (mut endpoints, mut replacements, mut shown) = (Vec::new(), Vec::new(), None);
        for url in cluster.endpoints() {
            let mut clients = Clients::connect_to(&url).await.expect("a ready server accepts connections");
            let range = pb::RangeRequest { key: "any".into(), ..Default::default() };
            let response =
                clients.kv.range(range).await.expect("a ready server responses reads").into_inner();
            let header = response.header.expect("every KV response has a header");
            let endpoint = url.trim_start_matches("http://").to_owned();
            replacements.extend([
                (endpoint.clone(), "ENDPOINT"),
                (header.cluster_id.to_string(), "CLUSTER"),
                (header.member_id.to_string(), "MEMBER"),
                (format!("{:x}", header.cluster_id), "CLUSTER"),
                (format!("{:x}", header.member_id), "MEMBER"),
            ]);
            endpoints.push(endpoint);
            // In an empty store the first revision is 1: shown as offsets from 0 they are absolute.
            shown.get_or_insert(Shown::new(&pb::ResponseHeader { revision: 0, ..header }));
        }
        let shown = shown.expect("a cluster has a member");
        Self { endpoints, next: 0, shown, replacements, leases: Vec::new() }
    }

    async fn execute(&mut self, _: &mut C, request: &[String]) -> Vec<String> {
        let words = self.arguments(&request[0]);
        let endpoint = self.endpoints[self.next].clone();
        self.next = (self.next + 1) % self.endpoints.len();
        if let [until, lines, words @ ..] = &words[..]
            && until == "until"
        {
            return self.until(&endpoint, number(lines), words, &request[1..]).await;
        }
        let (mut stdin, mut meanwhile) = (String::new(), None);
        for line in &request[1..] {
            match (line.strip_prefix('<'), line.strip_prefix('&')) {
                (Some(line), _) => stdin += &(self.with_ids(line.trim_start()) + "\n"),
                (_, Some(command)) => meanwhile = Some(self.arguments(command)),
                _ => panic!("lines below a command begin with < or &"),
            }
        }
        let (endpoint, words) = match words.split_first() {
            Some((first, rest)) if first == "http" => (format!("http://{endpoint}"), rest),
            _ => (endpoint, &words[..]),
        };
        let output = run(&endpoint, words, &stdin, meanwhile.as_deref());
        let output =
            timeout(DONE_WITHIN, output).await.expect("etcdctl comes to an end").expect("etcdctl runs");
        if words.iter().any(|word| word == "grant") {
            self.leases.extend(granted(&String::from_utf8_lossy(&output.stdout)));
        }
        self.show(words, &output)
    }

    fn failed(response: &[String]) -> bool {
        response.last().is_some_and(|line| line.starts_with("exit "))
    }
}

/// The lease id in the output of a grant.
fn granted(stdout: &str) -> Option<String> {
    let after = |before: &str| stdout.split_once(before).map(|(_, after)| after);
    if let Some(id) = after("\"ID\":").or_else(|| after("\"ID\" : ")) {
        let id = id.split(|c: char| !c.is_ascii_digit()).next()?;
        return Some(format!("{:016x}", id.parse::<i64>().ok()?));
    }
    after("lease ")?.split_once(" granted").map(|(id, _)| id.to_owned())
}

fn spawn(endpoint: &str, words: &[String]) -> io::Result<Child> {
    let mut etcdctl = Command::new("etcdctl");
    etcdctl
        .env("ETCDCTL_API", "3")
        .env_remove("ETCDCTL_ENDPOINTS")
        .arg(format!("--endpoints={endpoint}"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    with_spawn_lock(|| etcdctl.spawn())
}

/// Runs a command to its end, and a second one once the first has written a line.
pub(super) async fn run(
    endpoint: &str,
    words: &[String],
    stdin: &str,
    meanwhile: Option<&[String]>,
) -> io::Result<Output> {
    let mut child = spawn(endpoint, words)?;
    let mut pipe = child.stdin.take().expect("stdin is piped");
    // A command that reads nothing may have ended already.
    let _ = pipe.write_all(stdin.as_bytes()).await;
    drop(pipe);
    let Some(meanwhile) = meanwhile else { return child.wait_with_output().await };
    let mut pipe = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut stdout = Vec::new();
    pipe.read_until(b'\n', &mut stdout).await?;
    let other = Box::pin(run(endpoint, meanwhile, "", None)).await?;
    assert!(other.status.success(), "{meanwhile:?}: {other:?}");
    let (rest, output) = tokio::join!(pipe.read_to_end(&mut stdout), child.wait_with_output());
    rest?;
    Ok(Output { stdout, ..output? })
}

impl CtlSession {
    /// Runs a command until it has written so many lines.
    async fn until(&self, endpoint: &str, lines: usize, words: &[String], below: &[String]) -> Vec<String> {
        let step = |line: &String| {
            if let Some(line) = line.strip_prefix('<') {
                return Step { after: 0, what: What::Tell(line.trim_start().to_owned()) };
            }
            match &self.arguments(line)[..] {
                [after, lines, mark, words @ ..] if after == "after" && mark == "<" => {
                    Step { after: number(lines), what: What::Tell(words.join(" ")) }
                }
                [after, lines, words @ ..] if after == "after" => {
                    Step { after: number(lines), what: What::Run(words.to_vec()) }
                }
                other => panic!("lines below until begin with < or after, not as {other:?}"),
            }
        };
        let steps = below.iter().map(step).collect();
        let child = spawn(endpoint, words).expect("etcdctl runs");
        let written = until(endpoint, lines, child, steps);
        let written = written.await.expect("etcdctl can be ended");
        let mut out = self.lines('|', written.stdout.as_bytes());
        out.extend(self.lines('!', written.stderr.as_bytes()));
        out.extend(written.complaint);
        out
    }

    /// The words of a command line, leases by their ids.
    fn arguments(&self, line: &str) -> Vec<String> {
        let text = |word| String::from_utf8(words::bytes(word).into()).expect("arguments are text");
        words::words(&self.with_ids(line)).into_iter().map(text).collect()
    }

    fn with_ids(&self, line: &str) -> String {
        let leases = self.leases.iter().enumerate();
        leases.fold(line.to_owned(), |line, (index, id)| line.replace(&lease_name(index), id))
    }

    fn show(&self, words: &[String], output: &Output) -> Vec<String> {
        let mut lines = if words.iter().any(|word| word == "protobuf") && output.status.success() {
            self.decoded(&words[0], &output.stdout)
        } else {
            self.lines('|', &output.stdout)
        };
        if words.iter().any(|word| word == "timetolive") {
            // A granted lease has the same name in later responses.
            lines.iter_mut().for_each(|line| *line = without_value(line, "\"TTL\" : "));
        }
        lines.extend(self.lines('!', &output.stderr));
        if !output.status.success() {
            lines.push(match output.status.code() {
                Some(code) => format!("exit {code}"),
                None => "exit by signal".to_owned(),
            });
        }
        lines
    }

    /// A marshalled response, shown as gRPC responses are.
    fn decoded(&self, command: &str, stdout: &[u8]) -> Vec<String> {
        let shown = match command {
            "get" => pb::RangeResponse::decode(stdout).map(|response| self.shown.range(&response, false)),
            "put" => pb::PutResponse::decode(stdout).map(|response| self.shown.put(&response)),
            "del" => pb::DeleteRangeResponse::decode(stdout).map(|response| self.shown.delete(&response)),
            "txn" => pb::TxnResponse::decode(stdout).map(|response| self.shown.txn(&response)),
            other => panic!("no message is known for {other}"),
        };
        shown.unwrap_or_else(|error| vec![format!("undecodable: {error}")])
    }

    fn lines(&self, mark: char, output: &[u8]) -> Vec<String> {
        // Files with zero bytes are no text to other tools.
        let text = String::from_utf8_lossy(output).replace('\0', "\\0");
        let text = self.replacements.iter().fold(text, |text, (from, to)| text.replace(from, to));
        let leases = self.leases.iter().enumerate();
        let text = leases.fold(text, |text, (index, id)| {
            let number = i64::from_str_radix(id, 16).expect("ids are in hexadecimal").to_string();
            text.replace(id, &lease_name(index)).replace(&number, &lease_name(index))
        });
        let mut lines: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with("{\"level\":"))
            .map(|line| format!("{mark} {}", steady(line)).trim_end().to_owned())
            .collect();
        if !text.ends_with('\n')
            && let Some(last) = lines.last_mut()
        {
            last.push('\\');
        }
        lines
    }
}

/// Replaces values that differ from run to run and can't be known beforehand.
fn steady(line: &str) -> String {
    /// The texts before such values, in the output formats of etcdctl.
    const BEFORE: &[&str] = &[
        "\"raft_term\":",
        "\"raftTerm\":",
        "\"RaftTerm\" : ",
        "\"raftIndex\":",
        "\"RaftIndex\" : ",
        "\"raftAppliedIndex\":",
        "\"RaftAppliedIndex\" : ",
        "\"dbSize\":",
        "\"DBSize\" : ",
        "\"dbSizeInUse\":",
        "\"took\":\"",
        "\"Took\" : ",
        "took = ",
        "remaining(",
        "\"ttl\":",
        "http://127.0.0.1:",
    ];
    let mut line = BEFORE.iter().fold(line.to_owned(), |line, before| without_value(&line, before));
    // The one line of plain `endpoint status`: endpoint, id, version, size, leader, learner, term, index, applied.
    let cells: Vec<&str> = line.split(", ").collect();
    if let [endpoint, id, version, _, leader, learner, _, _, _, errors] = cells[..] {
        line = format!("{endpoint}, {id}, {version}, N, {leader}, {learner}, N, N, N, {errors}");
    }
    line
}

/// Replaces the value behind a text, unless it is negative: measured values are not.
fn without_value(line: &str, before: &str) -> String {
    match line.split_once(before) {
        Some((head, tail)) if !tail.starts_with('-') => {
            format!("{head}{before}N{}", tail.trim_start_matches(is_of_a_value))
        }
        _ => line.to_owned(),
    }
}

/// The name of a lease in scenarios.
fn lease_name(index: usize) -> String {
    format!("LEASE{}", index + 1)
}

/// Digits, a decimal point and units such as `ms`.
fn is_of_a_value(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '.' | 'm' | 's' | 'µ' | 'n')
}
