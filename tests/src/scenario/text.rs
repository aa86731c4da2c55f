//! Reads and writes scenario files.

use std::fmt;

use crate::{Etcd34, Ferretcd, Program as _};

/// One line, or one group of lines, of a scenario file. The file is the items in order.
#[derive(Debug)]
pub(super) enum Item {
    /// A comment or an empty line.
    Remark(String),
    /// Starts a case.
    Case(String),
    /// A condition of the case.
    With(Condition),
    /// A request and its response.
    Step(Step),
}

/// A condition of a case on the target or on its start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// A cluster of its own.
    Fresh,
    /// A cluster of its own, started with this flag.
    Flag(String),
    /// The behaviour exists from this release on.
    Since(String),
    /// The target serves this service.
    Needs(String),
}

/// A request and the expected response.
#[derive(Debug)]
pub(super) struct Step {
    /// Counted from 1, for messages.
    pub(super) line: usize,
    /// The request and its continuation lines, which keep their indentation beyond the first level.
    pub(super) request: Vec<String>,
    /// The response is not compared, but must not be an error.
    pub(super) quiet: bool,
    pub(super) expected: Vec<String>,
    pub(super) variants: Vec<Variant>,
}

/// The response of one target that differs.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) target: String,
    pub(super) reason: String,
    pub(super) expected: Vec<String>,
}

impl Step {
    /// The expected response of a target.
    pub(super) fn expected_of(&self, target: &str) -> &[String] {
        let variant = self.variants.iter().find(|variant| variant.target == target);
        variant.map_or(&self.expected, |variant| &variant.expected)
    }

    /// Records the response of a real etcd.
    pub(super) fn learn(&mut self, target: &str, actual: Vec<String>) {
        if !DEVIATING.contains(&target) {
            self.expected = actual;
            return;
        }
        let old = self.variants.iter().position(|variant| variant.target == target);
        let old = old.map(|index| self.variants.remove(index));
        if self.expected != actual {
            let reason = old.map_or_else(String::new, |old| old.reason);
            self.variants.push(Variant { target: target.to_owned(), reason, expected: actual });
        }
    }
}

/// Targets whose responses may differ from those of etcd 3.7, the reference.
const DEVIATING: &[&str] = &[Ferretcd::KIND.name, Etcd34::KIND.name];

const CONTINUATION: &str = "  ";

/// Reads a scenario file. Panics, naming the line, when it is malformed: scenarios are part of this crate.
pub(super) fn parse(file: &str, text: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let bad = |what: &str| -> ! { panic!("{file}:{number}: {what}: {line}") };
        let previous = match items.last_mut() {
            Some(Item::Step(step)) => Some(step),
            _ => None,
        };
        if line.is_empty() || line.starts_with('#') {
            items.push(Item::Remark(line.to_owned()));
        } else if let Some(name) = line.strip_prefix("case ") {
            items.push(Item::Case(name.to_owned()));
        } else if let Some(condition) = line.strip_prefix("with ") {
            items.push(Item::With(Condition::parse(condition).unwrap_or_else(|| bad("unknown condition"))));
        } else if let Some(request) = line.strip_prefix("> ").or_else(|| line.strip_prefix(": ")) {
            let quiet = line.starts_with(':');
            match (request.strip_prefix(CONTINUATION), previous) {
                (Some(more), Some(step)) => step.request.push(more.to_owned()),
                (Some(_), None) => bad("continues no request"),
                (None, _) => items.push(Item::Step(Step {
                    line: number,
                    request: vec![request.to_owned()],
                    quiet,
                    expected: Vec::new(),
                    variants: Vec::new(),
                })),
            }
        } else if let Some(variant) = line.strip_prefix('@') {
            let step = previous.unwrap_or_else(|| bad("belongs to no request"));
            let (target, reason) = variant.split_once(' ').unwrap_or((variant, ""));
            if !DEVIATING.contains(&target) || reason.is_empty() {
                bad("names no target and reason");
            }
            let (target, reason) = (target.to_owned(), reason.to_owned());
            step.variants.push(Variant { target, reason, expected: Vec::new() });
        } else {
            let step = previous.unwrap_or_else(|| bad("responses no request"));
            let response =
                step.variants.last_mut().map_or(&mut step.expected, |variant| &mut variant.expected);
            response.push(line.to_owned());
        }
    }
    items
}

impl Condition {
    fn parse(text: &str) -> Option<Self> {
        Some(match text.split_once(' ') {
            None if text == "fresh" => Self::Fresh,
            Some(("flag", flag)) => Self::Flag(flag.to_owned()),
            Some(("since", release)) => Self::Since(release.to_owned()),
            Some(("needs", service)) => Self::Needs(service.to_owned()),
            _ => return None,
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fresh => f.write_str("fresh"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Since(release) => write!(f, "since {release}"),
            Self::Needs(service) => write!(f, "needs {service}"),
        }
    }
}

/// Writes the lines exactly as [`parse`] reads them.
impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remark(text) => writeln!(f, "{text}"),
            Self::Case(name) => writeln!(f, "case {name}"),
            Self::With(condition) => writeln!(f, "with {condition}"),
            Self::Step(step) => step.fmt(f),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.quiet { ':' } else { '>' };
        for (index, line) in self.request.iter().enumerate() {
            let indent = if index == 0 { "" } else { CONTINUATION };
            writeln!(f, "{mark} {indent}{line}")?;
        }
        for line in &self.expected {
            writeln!(f, "{line}")?;
        }
        for variant in &self.variants {
            writeln!(f, "@{} {}", variant.target, variant.reason)?;
            for line in &variant.expected {
                writeln!(f, "{line}")?;
            }
        }
        Ok(())
    }
}
