//! All metrics of a server: names, types, labels and buckets, beside those of etcd 3.7.1.
//!
//! `families.golden` is what etcd 3.7.1 has, but for Go's runtime: a line for each family, in the order of their names.
//! Lines that begin with `extensive` are there with `--metrics=extensive` only, and those with `failure` only after some
//! failure, which the load does not provoke. What ferretcd has is that list with [`DIFFERENCES`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{Members, Setup, until};
use ferretcd_tests::{Program, on_every_program, raw};

use super::support::put;

const OF_ETCD: &str = include_str!("families.golden");

/// etcd measures the way to its peers every 30 s.
const SHOWN_WITHIN: Duration = Duration::from_secs(100);

/// What a family of ferretcd is beside that of etcd, and why.
const DIFFERENCES: &[(Difference, &str)] = &[
    (Difference::Absent("etcd_server_go_version"), "ferretcd is not written in Go"),
    (Difference::Absent("etcd_debugging_disk_backend_commit_rebalance_duration_seconds"), OF_BBOLT),
    (Difference::Absent("etcd_debugging_disk_backend_commit_spill_duration_seconds"), OF_BBOLT),
    (Difference::Absent("etcd_debugging_disk_backend_commit_write_duration_seconds"), OF_BBOLT),
    (Difference::Absent("etcd_debugging_store_reads_total"), OF_VERSION_2),
    (Difference::Absent("etcd_debugging_store_writes_total"), OF_VERSION_2),
    (Difference::Own("ferretcd_build_info gauge version"), "etcd_server_version is etcd's"),
    (Difference::Own("ferretcd_response_budget_bytes gauge"), "etcd has no such bound"),
    (Difference::Own("ferretcd_response_budget_used_bytes gauge"), "etcd has no such bound"),
];

const OF_VERSION_2: &str = "the store of version 2 is gone, and with it the actions that are the labels";

const OF_BBOLT: &str = "a phase of bbolt; the state file has no such phases";

enum Difference {
    /// The name of a family that ferretcd does not have.
    Absent(&'static str),
    /// A family of ferretcd's own.
    Own(&'static str),
}

/// The families that there have to be, and those that there may be.
#[derive(Debug, Default)]
struct Expected {
    always: BTreeSet<String>,
    after_failures: BTreeSet<String>,
}

impl Expected {
    fn of_etcd(is_extensive: bool) -> Self {
        let mut expected = Self::default();
        for line in OF_ETCD.lines() {
            if let Some(line) = line.strip_prefix("failure ") {
                expected.after_failures.insert(line.to_owned());
            } else if let Some(line) = line.strip_prefix("extensive ") {
                expected.always.extend(is_extensive.then(|| line.to_owned()));
            } else {
                expected.always.insert(line.to_owned());
            }
        }
        expected
    }

    fn of_ferretcd(is_extensive: bool) -> Self {
        let mut expected = Self::of_etcd(is_extensive);
        for (difference, _) in DIFFERENCES {
            match difference {
                Difference::Absent(name) => {
                    let count = expected.always.len();
                    expected.always.retain(|line| !line.starts_with(&format!("{name} ")));
                    assert_eq!(expected.always.len(), count - 1, "etcd has no {name} that could be absent");
                }
                Difference::Own(line) => assert!(expected.always.insert((*line).to_owned()), "{line}"),
            }
        }
        expected
    }

    /// Errs with the lines that should not be there, and those that should.
    fn compare(&self, found: &BTreeSet<String>) -> Result<(), String> {
        let more = found.difference(&self.always).filter(|line| !self.after_failures.contains(*line));
        let more: Vec<_> = more.collect();
        let less: Vec<_> = self.always.difference(found).collect();
        let is_equal = more.is_empty() && less.is_empty();
        if is_equal { Ok(()) } else { Err(format!("unexpected: {more:#?}\nmissing: {less:#?}")) }
    }
}

/// A family on a page, as its lines show it.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
    /// The bounds, in their order.
    bounds: Vec<f64>,
}

impl Family {
    /// `type labels buckets`, without what it does not have. Buckets that double are the first and their number.
    fn describe(&self, name: &str) -> String {
        let labels: Vec<_> = self.labels.iter().map(String::as_str).collect();
        let mut words = vec![name.to_owned(), self.kind.clone(), labels.join(",")];
        let doubles = self.bounds.windows(2).all(|pair| pair[1] == 2.0 * pair[0]);
        match self.bounds.first() {
            Some(first) if doubles => words.push(format!("{first}*2^0..{}", self.bounds.len() - 1)),
            _ => words.push(self.bounds.iter().map(f64::to_string).collect::<Vec<_>>().join(",")),
        }
        words.retain(|word| !word.is_empty());
        words.join(" ")
    }
}

/// The families of some pages, but for those of Go's runtime.
fn families(pages: &[String]) -> BTreeSet<String> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in pages.iter().flat_map(|page| page.lines()) {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            let series = line.rsplit_once(' ').expect("a series has a value").0;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let parts = ["_bucket", "_sum", "_count"].iter().filter_map(|part| name.strip_suffix(part));
            let family = parts.chain([name]).find(|name| families.contains_key(*name));
            let family =
                family.and_then(|name| families.get_mut(name)).expect("a type goes before its series");
            for (label, value) in pairs(labels) {
                match (label, value.parse::<f64>()) {
                    ("le", Ok(bound)) if bound.is_finite() && !family.bounds.contains(&bound) => {
                        family.bounds.push(bound);
                    }
                    ("le", _) => {}
                    _ => _ = family.labels.insert(label.to_owned()),
                }
            }
        }
    }
    let named = families.iter().filter(|(name, _)| !name.starts_with("go_"));
    named.map(|(name, family)| family.describe(name)).collect()
}

/// The labels of `a="1",b="2"}`. No value of this suite has a quotation mark.
fn pairs(labels: &str) -> impl Iterator<Item = (&str, &str)> {
    let labels = labels.trim_end_matches('}').trim_end_matches('"');
    labels.split("\",").filter_map(|pair| pair.split_once("=\""))
}

/// Something of everything that members count: a peer that is away, a learner that needs a snapshot and is not promoted, calls
/// that fail, an alarm.
async fn load<P: Program>(cluster: &mut Members<P>) {
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let learner = cluster.add(leader, true).await;
    let id = cluster.id(learner);
    let clients = cluster.clients(leader);
    let promote = pb::MemberPromoteRequest { id };
    clients.cluster.clone().member_promote(promote).await.expect_err("it was never there");
    for _ in 0..100 {
        put(&clients, "key", "value").await.expect("there is a quorum");
    }
    let range = pb::RangeRequest { key: "key".into(), ..Default::default() };
    clients.kv.clone().range(range).await.expect("there is a quorum");
    cluster.restart(learner).await;
    let url = cluster.client_url(leader);
    raw::page(&url, "/readyz").await.expect("the leader is ready");
    let message = raw::frame(&[0xff]);
    let broken = raw::call(&url, "/etcdserverpb.Watch/Watch", &[], message).await;
    assert!(!broken.expect("the server responds").outcome().starts_with("0 "));
    cluster.kill9(follower).await;
    let alarm = pb::AlarmRequest {
        action: pb::alarm_request::AlarmAction::Activate.into(),
        member_id: cluster.id(leader),
        alarm: pb::AlarmType::Nospace.into(),
    };
    until("the alarm is raised", SHOWN_WITHIN, async || {
        let raised = clients.maintenance.clone().alarm(alarm).await;
        raised.map_err(|status| status.to_string())
    })
    .await;
}

async fn listed<P: Program>(metrics: &str) {
    let is_extensive = metrics == "extensive";
    let expected = match P::KIND.reference {
        true => Expected::of_etcd(is_extensive),
        false => Expected::of_ferretcd(is_extensive),
    };
    let flags = ["--snapshot-count=20", "--snapshot-catchup-entries=10", &format!("--metrics={metrics}")];
    let mut cluster = Members::<P>::start(&Setup::of(3).with(&flags)).await;
    load(&mut cluster).await;
    until("all families", SHOWN_WITHIN, async || {
        let mut pages = Vec::new();
        for number in cluster.running() {
            let page = raw::page(&cluster.client_url(number), "/metrics").await;
            pages.push(page.map_err(|error| error.to_string())?);
        }
        expected.compare(&families(&pages))
    })
    .await;
}

#[test]
fn families_are_read_from_their_lines() {
    let page = "\
# HELP a Text.
# TYPE a histogram
a_bucket{x=\"1, 2\",le=\"0.5\"} 1
a_bucket{x=\"1, 2\",le=\"1\"} 1
a_bucket{x=\"1, 2\",le=\"+Inf\"} 1
a_sum{x=\"1, 2\"} 1
# TYPE b_count counter
b_count{z=\"\",y=\"1\"} 1
# TYPE c gauge
c 1e+06
# TYPE go_threads gauge
go_threads 1
"
    .to_owned();
    let expected = ["a histogram x 0.5*2^0..1", "b_count counter y,z", "c gauge"];
    assert_eq!(families(&[page]), expected.map(str::to_owned).into());
}

on_every_program! {
    basic_metrics_are_those_of_the_list => listed("basic"),
    extensive_metrics_are_those_of_the_list => listed("extensive"),
}
