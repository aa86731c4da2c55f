//! Responses as text, without what is different in each run.

use serde_json::Value;

use crate::web::Head;

/// Stands for what is different in each run.
const BLANK: &str = "*";

/// Numbers of at least so many digits are random: ids of the cluster and of its members.
const RANDOM_DIGITS: usize = 12;

/// Fields that depend on time, or on how a server stores its state.
const VOLATILE: &[&str] = &[
    "raft_term",
    "raftIndex",
    "raftTerm",
    "raftAppliedIndex",
    "dbSize",
    "dbSizeInUse",
    "dbSizeQuota",
    "hash",
    "token",
    "blob",
    "remaining_bytes",
];

/// Lists in the order of random ids, or of none.
const UNORDERED: &[&str] = &["members", "alarms", "errors"];

/// Headers that clients may depend on.
fn is_compared(name: &str) -> bool {
    matches!(
        name,
        "content-type" | "www-authenticate" | "location" | "allow" | "sec-websocket-version" | "trailer"
    ) || name.starts_with("access-control-")
        || name.starts_with("grpc-")
}

/// Headers of most responses, which stand behind the status under a name.
const USUAL: &[(&str, &[(&str, &str)])] = &[
    ("json", &[("content-type", "application/json")]),
    ("grpc", &[("grpc-metadata-content-type", "application/grpc")]),
    (
        "cors",
        &[
            ("access-control-allow-headers", "accept, content-type, authorization"),
            ("access-control-allow-methods", "POST, GET, OPTIONS, PUT, DELETE"),
            ("access-control-allow-origin", "*"),
        ],
    ),
];

/// The lines of a head.
pub(super) fn head(head: &Head) -> Vec<String> {
    let mut headers: Vec<_> =
        head.headers.iter().map(|(name, value)| (&**name, plain_blanks(value))).collect();
    headers.retain(|(name, _)| is_compared(name));
    headers.sort();
    let mut first = format!(" {}", head.status);
    for (name, usual) in USUAL {
        let is_usual = |(name, value): &(&str, String)| usual.contains(&(*name, &**value));
        if headers.iter().filter(|header| is_usual(header)).count() == usual.len() {
            headers.retain(|header| !is_usual(header));
            first.push_str(&format!(" {name}"));
        }
    }
    let others = headers.into_iter().map(|(name, value)| format!(" {name}: {value}"));
    std::iter::once(first).chain(others).collect()
}

/// The lines of a body.
pub(super) fn body(body: &[u8]) -> Vec<String> {
    let text = plain_blanks(&String::from_utf8_lossy(body));
    let lines: Option<Vec<_>> = text.split_inclusive('\n').map(json).collect();
    lines.unwrap_or_else(|| vec![format!("{text:?}")])
}

/// A line as JSON, if it is an object.
fn json(line: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(line).ok()?;
    blank(&mut value);
    let end = if line.ends_with('\n') { ' ' } else { '~' };
    value.is_object().then(|| format!("{end}{value}"))
}

/// Go's protobuf library writes a blank or U+00A0 behind its name, by chance of the build.
fn plain_blanks(text: &str) -> String {
    text.replace('\u{a0}', " ")
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if VOLATILE.contains(&&**name) {
                    *value = BLANK.into();
                }
                blank(value);
                if let (true, Value::Array(values)) = (UNORDERED.contains(&&**name), value) {
                    values.sort_by_cached_key(Value::to_string);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(blank),
        Value::String(text) => {
            let is_random = text.len() >= RANDOM_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
            if is_random || text.starts_with("http://127.0.0.1:") {
                BLANK.clone_into(text);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
