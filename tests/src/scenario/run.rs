//! Runs scenario files.

use std::env;
use std::fmt::Write as _;
use std::future::Future;
use std::path::Path;

use super::text::{Condition, Item, Step, parse};
use crate::{Cluster, Kind, Options, Release, report};

/// Performs the requests of one language. Opened once per case.
pub trait Session<C: Cluster>: Sized + Send {
    /// Whether every case gets a cluster of its own, even without the condition `fresh`.
    const FRESH: bool;

    /// Connects to the cluster and leaves it with an empty store.
    fn open(cluster: &C) -> impl Future<Output = Self> + Send;

    /// Performs a request, given as its lines, and returns the response as lines. An error is a response too.
    /// Panics when the request is not of this language.
    fn execute(&mut self, cluster: &mut C, request: &[String]) -> impl Future<Output = Vec<String>> + Send;

    /// Whether a response says that the request failed.
    fn failed(response: &[String]) -> bool;
}

/// Runs all cases of a scenario file (relative to `tests/scenarios`) against a target and panics with every
/// difference found. A target that is not available here is skipped, which is reported on stderr.
pub async fn run<C: Cluster, S: Session<C>>(file: &str) {
    if !report::available::<C>(file) {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(file);
    let text = std::fs::read_to_string(&path).expect("the scenario file is in the source tree");
    let mut items = parse(file, &text);
    let mut runner = Runner::<C> { file, shared: None, learning: learning(C::KIND), failures: String::new() };
    let mut rest = items.as_mut_slice();
    while let Some(start) = rest.iter().position(|item| matches!(item, Item::Case(_))) {
        let length = rest[start + 1..].iter().position(|item| matches!(item, Item::Case(_)));
        let end = length.map_or(rest.len(), |length| start + 1 + length);
        let (case, after) = rest[start..].split_at_mut(end - start);
        runner.case::<S>(case).await;
        rest = after;
    }
    let (learning, failures) = (runner.learning, runner.failures);
    if learning {
        let text: String = items.iter().map(Item::to_string).collect();
        std::fs::write(&path, text).expect("the source tree is writable when scenarios are updated");
    }
    assert!(failures.is_empty(), "{} differs:\n{failures}", C::KIND.name);
}

/// Whether responses are recorded instead of compared. ferretcd is never the source of expectations.
fn learning(kind: Kind) -> bool {
    kind.reference && env::var("UPDATE_SCENARIOS").is_ok_and(|target| target == kind.name)
}

struct Runner<'a, C> {
    file: &'a str,
    /// Serves the cases that don't need a cluster of their own.
    shared: Option<C>,
    learning: bool,
    failures: String,
}

impl<C: Cluster> Runner<'_, C> {
    async fn case<S: Session<C>>(&mut self, items: &mut [Item]) {
        let Some((Item::Case(name), items)) = items.split_first_mut() else { return };
        let mut options = Options::default();
        let mut fresh = S::FRESH;
        for item in items.iter() {
            match item {
                Item::With(Condition::Fresh) => fresh = true,
                Item::With(Condition::Flag(flag)) => {
                    fresh = true;
                    options.flags.push(flag.clone());
                }
                Item::With(Condition::Since(release)) => {
                    let since = Release::parse(release).expect("a case names a known release");
                    if C::KIND.release < since {
                        return;
                    }
                }
                Item::With(Condition::Needs(service)) if C::KIND.lacks.contains(&service.as_str()) => {
                    let reason = format!("{} has no {service}", C::KIND.name);
                    return report::skipped(&format!("{}: {name}", self.file), &reason);
                }
                _ => {}
            }
        }
        let mut cluster = match self.shared.take() {
            Some(shared) if !fresh => shared,
            kept => {
                if fresh {
                    self.shared = kept;
                }
                C::start(&options).await.unwrap_or_else(|error| panic!("{error}"))
            }
        };
        let mut session = S::open(&cluster).await;
        for item in items {
            let Item::Step(step) = item else { continue };
            assert!(
                fresh || !step.request[0].starts_with("compact"),
                "{}:{}: a compaction outlasts the case, so the case must be fresh",
                self.file,
                step.line
            );
            let response = session.execute(&mut cluster, &step.request).await;
            self.judge::<S>(name, step, response);
        }
        if !fresh {
            self.shared = Some(cluster);
        }
    }

    fn judge<S: Session<C>>(&mut self, case: &str, step: &mut Step, response: Vec<String>) {
        let expected = step.expected_of(C::KIND.name);
        let right = if step.quiet { !S::failed(&response) } else { matches(expected, &response) };
        if right {
            return;
        }
        if self.learning && !step.quiet {
            step.learn(C::KIND.name, response);
            return;
        }
        let out = &mut self.failures;
        let (file, line, request) = (self.file, step.line, step.request.join(" / "));
        let expected = if step.quiet { "  (any success)".to_owned() } else { indent(expected) };
        write!(
            out,
            "{file}:{line}: {case}\n  {request}\n expected\n{expected}\n got\n{}\n\n",
            indent(&response)
        )
        .expect("a string takes everything");
    }
}

fn matches(expected: &[String], response: &[String]) -> bool {
    expected.len() == response.len()
        && expected.iter().zip(response).all(|(expected, line)| match expected.strip_suffix("...") {
            Some(start) => line.starts_with(start),
            None => expected == line,
        })
}

fn indent(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
