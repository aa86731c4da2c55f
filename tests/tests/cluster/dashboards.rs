//! etcd's own dashboard and alerts on a cluster, as Prometheus evaluates them.
//!
//! The expressions are read from `contrib/mixin` of etcd's source, which has them in jsonnet. They are texts there with few
//! placeholders, so no jsonnet is needed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ferretcd_tests::members::{Members, Setup, until};
use ferretcd_tests::{Program, WatchStream, on_every_program, raw, report};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use super::support::put;

const SOURCE: &str = "go.etcd.io/etcd/v3@v3.7.1";
/// The name under which Prometheus knows the cluster; the expressions take all whose names contain etcd.
const JOB: &str = "etcd";
/// etcd measures the way to its peers every 30 s.
const SHOWN_WITHIN: Duration = Duration::from_secs(120);

/// A rule of an alert: name and expression.
type Rule = (String, String);

/// The expressions of the mixin.
#[derive(Debug, Default)]
struct Mixin {
    panels: BTreeSet<String>,
    rules: Vec<Rule>,
}

impl Mixin {
    fn read(dir: &Path) -> Self {
        let text = |file: &str| fs::read_to_string(dir.join(file)).expect("the mixin of this release has it");
        let dashboards = ["dashboards/targets.libsonnet", "dashboards/etcd-grafana7x.libsonnet"];
        let panels = dashboards.iter().flat_map(|file| panels(&text(file))).collect();
        Self { panels, rules: rules(&text("alerts/alerts.libsonnet")) }
    }
}

/// The expression of a panel is a text with a comma and a percent sign somewhere behind it.
fn panels(text: &str) -> Vec<String> {
    let expressions = text.lines().filter_map(|line| {
        let line = line.trim().trim_start_matches("expr: ");
        let (expression, rest) = line.strip_prefix('\'')?.rsplit_once('\'')?;
        rest.starts_with(" % ").then(|| filled(expression))
    });
    expressions.collect()
}

/// The expression of an alert is a block between `|||` that follows its name.
fn rules(text: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("alert: '").and_then(|rest| rest.strip_suffix("',")) else {
            continue;
        };
        let block = lines.by_ref().skip_while(|line| !line.ends_with("|||")).skip(1);
        let expression = block.take_while(|line| !line.starts_with("|||")).collect::<Vec<_>>().join("\n");
        rules.push((name.to_owned(), filled(&expression)));
    }
    rules
}

/// Puts values in the place of the placeholders.
fn filled(expression: &str) -> String {
    let named = [
        ("%(etcd_selector)s", "job=~\".*etcd.*\""),
        ("%(etcd_instance_labels)s", "instance"),
        ("%(clusterLabel)s", "job"),
        ("%(network_failure_range)s", "4"),
        ("$cluster", JOB),
        ("$__rate_interval", "30s"),
    ];
    let filled = named.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
    // The other two are selector and label, in this order.
    filled.replacen("%s", "job=~\".*etcd.*\"", 1).replacen("%s", "job", 1)
}

/// Where Go keeps etcd's source. Errs with what to do.
fn mixin_dir() -> Result<PathBuf, String> {
    let go = Command::new("go").args(["env", "GOMODCACHE"]).stdin(Stdio::null()).output();
    let go = go.map_err(|error| format!("run `go env GOMODCACHE` (Go 1.26): {error}"))?;
    let dir = Path::new(String::from_utf8_lossy(&go.stdout).trim()).join(SOURCE).join("contrib/mixin");
    let hint = || format!("find {}; get it with `go mod download {SOURCE}`", dir.display());
    if dir.is_dir() { Ok(dir) } else { Err(hint()) }
}

/// A running Prometheus. It ends when this is dropped.
struct Prometheus {
    url: String,
    _child: Child,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one that reads the metrics of these URLs every second. `Ok(None)` if it is not installed.
    async fn start(urls: &[String], rules: &[Rule]) -> std::io::Result<Option<Self>> {
        let dir = tempfile::tempdir()?;
        let targets: Vec<_> = urls.iter().map(|url| url.trim_start_matches("http://")).collect();
        // At once: what the alerts wait for is none of the member's business.
        let rule = |(name, expression): &Rule| json!({"alert": name, "expr": expression, "for": "0s"});
        let group = json!({"name": JOB, "rules": rules.iter().map(rule).collect::<Vec<_>>()});
        // JSON is YAML, too.
        fs::write(dir.path().join("rules.yml"), json!({"groups": [group]}).to_string())?;
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": targets}]}],
        });
        fs::write(dir.path().join("prometheus.yml"), config.to_string())?;
        let mut command = tokio::process::Command::new("prometheus");
        command
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            spawned => spawned?,
        };
        let mut log = BufReader::new(child.stderr.take().expect("it is a pipe")).lines();
        let mut seen = String::new();
        while let Some(line) = log.next_line().await? {
            if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
                let url = format!("http://{}", address.split_whitespace().next().unwrap_or_default());
                // The rest of the log is read, so that nothing waits for it.
                tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
                return Ok(Some(Self { url, _child: child, _dir: dir }));
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        panic!("prometheus does not listen:\n{seen}");
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        let page = raw::fetch(&self.url, "GET", path).await.map_err(|error| error.to_string())?;
        let response: Value = serde_json::from_slice(&page.body).map_err(|error| error.to_string())?;
        if response["status"] == "success" { Ok(response["data"].clone()) } else { Err(page.text()) }
    }

    /// Whether the expression has a value that is a number.
    async fn has_data(&self, expression: &str) -> Result<bool, String> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let data = self.get(&format!("/api/v1/query?query={escaped}")).await?;
        let samples = data["result"].as_array().cloned().unwrap_or_default();
        Ok(samples.iter().any(|sample| sample["value"][1].as_str().is_some_and(|value| value != "NaN")))
    }

    /// The names of the alerts that fire.
    async fn firing(&self) -> Result<BTreeSet<String>, String> {
        let data = self.get("/api/v1/alerts").await?;
        let alerts = data["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        Ok(firing.filter_map(|alert| Some(alert["labels"]["alertname"].as_str()?.to_owned())).collect())
    }

    /// Whether every rule was evaluated; errs with what is wrong with the others.
    async fn judged(&self, count: usize) -> Result<(), String> {
        let data = self.get("/api/v1/rules").await?;
        let rules = data["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
        let bad: Vec<_> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
        let is_good = rules.len() == count && bad.is_empty();
        if is_good {
            Ok(())
        } else {
            Err(format!("{} of {count} rules, not evaluated: {bad:#?}", rules.len()))
        }
    }
}

/// Each panel has data, each alert can be evaluated, and that of a member that is down fires when one is.
async fn watched<P: Program>() {
    let what = format!("the dashboard on {}", P::KIND.name);
    let mixin = match mixin_dir() {
        Ok(dir) => Mixin::read(&dir),
        Err(reason) => return report::skipped(&what, &format!("failed to {reason}")),
    };
    assert!(mixin.panels.len() >= 19 && mixin.rules.len() == 15, "{mixin:#?}");
    let mut cluster = Members::<P>::start(&Setup::of(3).with(&["--metrics=extensive"])).await;
    let started = Prometheus::start(&cluster.client_urls(&[0, 1, 2]), &mixin.rules).await;
    let Some(prometheus) = started.expect("it starts") else {
        return report::skipped(&what, "failed to find `prometheus` in PATH (Debian package prometheus)");
    };
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let clients = cluster.clients(leader);
    let mut watch = WatchStream::open(&clients);
    watch.created(Default::default()).await;
    let work = tokio::spawn(async move {
        loop {
            // A leader that changes is none of this suite's business.
            let _ = put(&clients, "key", "value").await;
        }
    });
    for expression in &mixin.panels {
        until(&format!("data of {expression}"), SHOWN_WITHIN, async || {
            if prometheus.has_data(expression).await? { Ok(()) } else { Err("none".to_owned()) }
        })
        .await;
    }
    until("evaluated rules", SHOWN_WITHIN, async || prometheus.judged(mixin.rules.len()).await).await;
    let of_members = ["etcdMembersDown", "etcdInsufficientMembers", "etcdNoLeader"].map(str::to_owned);
    until("a cluster in order", SHOWN_WITHIN, async || {
        let firing = prometheus.firing().await?;
        if of_members.iter().any(|alert| firing.contains(alert)) {
            Err(format!("{firing:?}"))
        } else {
            Ok(())
        }
    })
    .await;
    cluster.kill9(follower).await;
    until("the alert of a member that is down", SHOWN_WITHIN, async || {
        let firing = prometheus.firing().await?;
        if firing.contains(&of_members[0]) { Ok(firing) } else { Err(format!("{firing:?}")) }
    })
    .await;
    assert!(
        !prometheus.firing().await.expect("it responds").contains(&of_members[1]),
        "two of three are enough"
    );
    work.abort();
}

#[test]
fn expressions_are_read_from_their_lines() {
    let dashboard = "
  memory:
      'sum(a{%s, %s=\"$cluster\"}[$__rate_interval])' % [config.etcd_selector, config.clusterLabel],
      title: 'no expression',
          expr: 'b{%(etcd_selector)s}' % $._config,
";
    let expected = ["sum(a{job=~\".*etcd.*\", job=\"etcd\"}[30s])", "b{job=~\".*etcd.*\"}"];
    assert_eq!(panels(dashboard), expected);
    let alerts = "
            alert: 'down',
            expr: |||
              sum without (%(etcd_instance_labels)s) (a)
              > 0
            ||| % $._config,
            'for': '20m',
";
    let expected = ("down".to_owned(), "sum without (instance) (a)\n> 0".to_owned());
    assert_eq!(rules(alerts), [expected]);
}

on_every_program! {
    dashboard_and_alerts_have_their_data => watched(),
}
