//! Which crate may depend on which: the layers, bottom up.

use super::finding::Complaint;
use super::tree::{Dependency, Package};

/// Layer by layer, from the bytes and words up to the programs. A crate depends only on lower layers.
const LAYERS: &[&[&str]] = &[
    &["base", "api-proto"],
    &["backend", "wal", "bolt"],
    &["mvcc", "lease", "auth", "membership"],
    &["apply", "watch", "raft-node", "data-dir"],
    &["engine"],
    &[
        "grpc-server",
        "gateway",
        "listen",
        "http-pages",
        "ui",
        "transport",
        "interceptors",
        "otlp",
        "tls",
        "client",
    ],
    &["embed", "flags", "logging", "discovery"],
    &["cli"],
];

/// What only develops and tests the others, and may depend on all of them.
const DEVELOPMENT: &[&str] = &["sim", "testkit", "bench", "tests", "xtask"];

/// What the tests and examples of any crate may depend on, because it knows nothing above the words itself.
const FOR_TESTS: &[&str] = &["testkit"];

const RIM: usize = 5;

/// Edges within a layer that are wanted all the same: the server composes its layers, its gateway and its plain HTTP pages and stands
/// behind a port, ports and the connections of peers and clients are encrypted in the same way, discovery logs durations in Go's
/// notation, embed looks for the founders of a cluster, and spans show what handlers note; a data directory opens the state of the logic beside it.
const ALLOWED: &[(&str, &str)] = &[
    ("data-dir", "apply"),
    ("data-dir", "raft-node"),
    ("grpc-server", "gateway"),
    ("grpc-server", "interceptors"),
    ("grpc-server", "http-pages"),
    ("grpc-server", "listen"),
    ("grpc-server", "tls"),
    ("grpc-server", "ui"),
    ("listen", "tls"),
    ("otlp", "interceptors"),
    ("transport", "tls"),
    ("client", "tls"),
    ("discovery", "flags"),
    ("embed", "discovery"),
];

/// Edges that the layers would permit: these crates need no engine in their process.
const FORBIDDEN: &[(&str, &str)] = &[
    ("interceptors", "engine"),
    ("gateway", "engine"),
    ("http-pages", "engine"),
    ("ui", "engine"),
    ("client", "engine"),
];

/// Judges the edges from `package` to other members, those of its tests and examples included.
pub(super) fn check(package: &Package) -> Vec<Complaint> {
    if FOR_TESTS.contains(&package.name.as_str()) {
        return package.dependencies.iter().filter_map(above_the_words).collect();
    }
    if is_development(&package.name) {
        return Vec::new();
    }
    let Some(layer) = layer(&package.name) else {
        return vec![Complaint {
            dependency: String::new(),
            message: format!("give {} a place in LAYERS of xtask/src/tidy/layers.rs", package.name),
        }];
    };
    package.dependencies.iter().filter_map(|dependency| edge(&package.name, layer, dependency)).collect()
}

fn edge(from: &str, layer: usize, dependency: &Dependency) -> Option<Complaint> {
    let to = dependency.member.as_deref()?;
    let complaint = |message| Some(Complaint { dependency: dependency.key.clone(), message });
    if FORBIDDEN.contains(&(from, to)) {
        return complaint(format!("{from} does not know {to}: ask what it needs through a trait of its own"));
    }
    if dependency.dev && FOR_TESTS.contains(&to) {
        return None;
    }
    match self::layer(to) {
        Some(below) if below < layer || ALLOWED.contains(&(from, to)) => None,
        Some(other) => complaint(format!(
            "{from} (layer {layer}) must not depend on {to} (layer {other}): only lower layers are known"
        )),
        None => complaint(format!("{from} must not depend on {to}, which is for development only")),
    }
}

fn above_the_words(dependency: &Dependency) -> Option<Complaint> {
    let to = dependency.member.as_deref().filter(|to| layer(to) != Some(0))?;
    let message = format!("the tests of all crates depend on this one: it must not know {to}");
    Some(Complaint { dependency: dependency.key.clone(), message })
}

/// The place of a crate, counted from the bottom; none for what is for development.
pub(super) fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

pub(super) fn is_development(name: &str) -> bool {
    DEVELOPMENT.contains(&name)
}

/// Whether the crate faces the network.
pub(super) fn is_rim(name: &str) -> bool {
    LAYERS[RIM].contains(&name)
}

/// Whether the crate is synchronous and deterministic: no waiting, no clock and no randomness.
pub(super) fn is_pure(name: &str) -> bool {
    layer(name).is_some_and(|layer| layer <= 2) || matches!(name, "apply" | "watch")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, to: &str, expected: &str) {
        check_as(false, from, to, expected);
    }

    fn check_as(dev: bool, from: &str, to: &str, expected: &str) {
        let dependency =
            Dependency { key: to.to_owned(), member: Some(to.to_owned()), dev, ..Dependency::default() };
        let package = Package {
            name: from.to_owned(),
            manifest: String::new(),
            dependencies: vec![Dependency::default(), dependency],
        };
        let messages: Vec<String> = super::check(&package).into_iter().map(|it| it.message).collect();
        let as_expected = match messages.as_slice() {
            [] => expected.is_empty(),
            [message] => !expected.is_empty() && message.contains(expected),
            _ => false,
        };
        assert!(as_expected, "{from} -> {to}: {messages:?}");
    }

    #[test]
    fn edges_point_down() {
        check("mvcc", "backend", "");
        check("apply", "mvcc", "");
        check("cli", "engine", "");
        check("grpc-server", "http-pages", "");
        check("tests", "engine", "");
        check("sim", "raft-node", "");

        check("mvcc", "lease", "only lower layers");
        check("backend", "wal", "only lower layers");
        check("apply", "raft-node", "only lower layers");
        check("base", "mvcc", "mvcc (layer 2)");
        check("http-pages", "interceptors", "only lower layers");
        check("http-pages", "engine", "does not know engine");
        check("mvcc", "sim", "for development only");
        check("utils", "base", "give utils a place");
    }

    #[test]
    fn tests_of_any_crate_use_the_testkit_which_knows_only_words() {
        check_as(true, "bolt", "testkit", "");
        check("bolt", "testkit", "for development only");
        check("testkit", "api-proto", "");
        check("testkit", "tls", "must not know tls");
    }

    #[test]
    fn stores_and_state_machine_and_all_below_are_pure() {
        for name in ["base", "wal", "auth", "apply", "watch"] {
            assert!(is_pure(name), "{name}");
        }
        for name in ["raft-node", "engine", "cli", "xtask", "unknown"] {
            assert!(!is_pure(name), "{name}");
        }
    }
}
