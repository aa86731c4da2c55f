//! The form of a case.
//!
//! ```text
//! # Lines before the request are notes.
//! POST /v3/kv/put                      method and path
//! grpc-timeout: 1x                     headers; those for host and length are added
//! > {"key":"Zm9v"}                     lines of the body
//! > $(3*ab)$(xff)$(MEMBER)             text repeated, a byte, what is known of the server: MEMBER, PEER, TOKEN
//! reads 2                              the body has no end; so many values of it are read
//! = 400 json cors                      the response: the status, and usual headers of the name
//! = location: /v3/                     other headers that a client may depend on, in order
//! = {"code":3}                         JSON in the body, followed by the end of a line
//! =~{"code":3}                         JSON in the body, followed by nothing
//! =""                                  a body that is not JSON
//! ! 501                                ferretcd's response, where it is meant to differ
//! !! does not lock yet                 the reason
//! ```
//!
//! Cases are separated by empty lines.

use std::fmt;

/// A request with its responses.
#[derive(Debug, Default)]
pub(super) struct Case {
    notes: Vec<String>,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    /// Lines of the body.
    pub(super) body: Vec<String>,
    /// Values that are read of a body without an end.
    pub(super) reads: Option<usize>,
    /// The lines of etcd's response.
    pub(super) expected: Vec<String>,
    /// Those of ferretcd's, empty if it is the same.
    own: Vec<String>,
    reason: String,
}

/// Reads a file.
pub(super) fn parse(text: &str) -> Vec<Case> {
    text.split("\n\n").filter(|block| !block.trim().is_empty()).map(Case::parse).collect()
}

impl Case {
    fn parse(block: &str) -> Self {
        let mut case = Self::default();
        for line in block.trim_matches('\n').lines() {
            let text = || line.get(1..).unwrap_or_default().to_owned();
            match line.as_bytes()[0] {
                b'#' => case.notes.push(line.to_owned()),
                b'>' => case.body.push(text().strip_prefix(' ').map(str::to_owned).unwrap_or_default()),
                b'=' => case.expected.push(text()),
                b'!' if line.starts_with("!! ") => line[3..].clone_into(&mut case.reason),
                b'!' => case.own.push(text()),
                _ if case.method.is_empty() => {
                    let (method, path) = line.split_once(' ').expect("a method and a path");
                    (case.method, case.path) = (method.to_owned(), path.to_owned());
                }
                _ if line.starts_with("reads ") => case.reads = Some(line[6..].parse().expect("a number")),
                _ => {
                    let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line}"));
                    case.headers.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        assert!(case.own.is_empty() == case.reason.is_empty(), "a reason for each difference: {case}");
        case
    }

    pub(super) fn expected_of_ferretcd(&self) -> &[String] {
        if self.own.is_empty() { &self.expected } else { &self.own }
    }

    /// What differs from the expectation.
    pub(super) fn difference(&self, server: &str, expected: &[String], got: &[String]) -> Option<String> {
        let shown =
            |lines: &[String]| lines.iter().map(|line| format!("        {line}\n")).collect::<String>();
        (expected != got).then(|| {
            let Self { method, path, headers, body, .. } = self;
            format!(
                "{method} {path} {headers:?} {body:.200?}\n    {server} has\n{}    instead of\n{}",
                shown(got),
                shown(expected)
            )
        })
    }

    /// Takes other responses as expectations. The reason for a new difference has to be written by hand.
    pub(super) fn record(&mut self, etcd: &[String], own: &[String]) {
        self.expected = etcd.to_vec();
        self.own = if etcd == own { Vec::new() } else { own.to_vec() };
        if self.own.is_empty() {
            self.reason.clear();
        } else if self.reason.is_empty() {
            "?".clone_into(&mut self.reason);
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        writeln!(f, "{} {}", self.method, self.path)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        for line in &self.body {
            writeln!(f, "{}", format!("> {line}").trim_end())?;
        }
        if let Some(reads) = self.reads {
            writeln!(f, "reads {reads}")?;
        }
        for line in &self.expected {
            writeln!(f, "={line}")?;
        }
        for line in &self.own {
            writeln!(f, "!{line}")?;
        }
        if self.own.is_empty() { Ok(()) } else { writeln!(f, "!! {}", self.reason) }
    }
}
