//! Which outside library may be named where.

use super::finding::Complaint;
use super::layers;
use super::tree::{Dependency, Package};

/// Runtimes, networks, clocks and chance: nothing for a crate that must give the same result on every member.
/// A name stands for its whole family: `tokio` for `tokio-stream` too.
const IMPURE: &[&str] = &[
    "async",
    "axum",
    "chrono",
    "fastrand",
    "futures",
    "getrandom",
    "hyper",
    "jiff",
    "rand",
    "reqwest",
    "smol",
    "time",
    "tokio",
    "tonic",
    "tower",
    "uuid",
];

/// A library that one crate hides from all others, so that it can be exchanged behind it.
const OWNED: &[(&str, &str)] =
    &[("raft", "raft-node"), ("protobuf", "raft-node"), ("slog", "raft-node"), ("redb", "backend")];

/// Judges the libraries that `package` names.
pub(super) fn check(package: &Package) -> Vec<Complaint> {
    package
        .dependencies
        .iter()
        .filter_map(|dependency| {
            let message = objection(&package.name, dependency)?;
            Some(Complaint { dependency: dependency.key.clone(), message })
        })
        .collect()
}

/// The owner of a library, if it has one.
pub(super) fn owned_by(owner: &str) -> impl Iterator<Item = &'static str> {
    OWNED.iter().filter(move |(_, name)| *name == owner).map(|(library, _)| *library)
}

fn objection(name: &str, dependency: &Dependency) -> Option<String> {
    if dependency.member.is_some() {
        return services(name, dependency);
    }
    let library = dependency.package.as_str();
    if dependency.default_features {
        return Some(format!("turn off {library}'s default features and name those that are needed"));
    }
    let owner = OWNED.iter().find(|(owned, _)| is_family(library, owned));
    if let Some((_, owner)) = owner.filter(|(_, owner)| *owner != name) {
        return Some(format!("only {owner} names {library}: use what {owner} offers, or extend it"));
    }
    // The service traits of api-proto are a feature that only the rim turns on.
    if dependency.dev || layers::is_development(name) || name == "api-proto" && dependency.optional {
        return None;
    }
    if layers::is_pure(name) && IMPURE.iter().any(|family| is_family(library, family)) {
        return Some(format!("{name} is synchronous and deterministic: {library} belongs above it"));
    }
    if is_family(library, "tonic") && !layers::is_rim(name) {
        return Some(format!("only the rim names {library}: {name} speaks in types of its own"));
    }
    None
}

/// The feature brings tonic along, so that it counts as naming it.
fn services(name: &str, dependency: &Dependency) -> Option<String> {
    let has_feature = dependency.default_features || dependency.features.iter().any(|it| it == "services");
    let is_enabled = dependency.member.as_deref() == Some("api-proto") && has_feature;
    let is_rejected = is_enabled && !dependency.dev && !layers::is_rim(name) && !layers::is_development(name);
    is_rejected
        .then(|| format!("only the rim turns on api-proto's services: {name} needs the messages alone"))
}

fn is_family(library: &str, family: &str) -> bool {
    library.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str) -> Dependency {
        Dependency { key: name.to_owned(), package: name.to_owned(), ..Dependency::default() }
    }

    fn check(name: &str, dependency: Dependency, expected: &str) {
        let library = dependency.package.clone();
        let package =
            Package { name: name.to_owned(), manifest: String::new(), dependencies: vec![dependency] };
        let messages: Vec<String> = super::check(&package).into_iter().map(|it| it.message).collect();
        let as_expected = match messages.as_slice() {
            [] => expected.is_empty(),
            [message] => !expected.is_empty() && message.contains(expected),
            _ => false,
        };
        assert!(as_expected, "{name} -> {library}: {messages:?}");
    }

    #[test]
    fn pure_crates_name_no_runtime_clock_or_chance() {
        check("mvcc", library("bytes"), "");
        check("mvcc", library("tokio"), "synchronous and deterministic");
        check("watch", library("tokio-stream"), "synchronous and deterministic");
        check("apply", library("rand_chacha"), "synchronous and deterministic");
        check("base", library("chrono"), "synchronous and deterministic");
        check("wal", Dependency { dev: true, ..library("tokio") }, "");
        check("raft-node", library("rand"), "");
        check("engine", library("tokio"), "");
    }

    #[test]
    fn engines_are_hidden_behind_their_crates() {
        check("raft-node", library("raft"), "");
        check("backend", library("redb"), "");
        check("engine", library("raft-proto"), "only raft-node");
        check("tests", library("redb"), "only backend");
        check("mvcc", Dependency { dev: true, ..library("redb") }, "only backend");
    }

    #[test]
    fn tonic_is_the_rims() {
        check("grpc-server", library("tonic-health"), "");
        check("tests", library("tonic"), "");
        check("api-proto", Dependency { optional: true, ..library("tonic") }, "");
        check("api-proto", library("tonic"), "belongs above");
        check("engine", library("tonic"), "only the rim");
        check("cli", library("tonic"), "only the rim");

        let services = Dependency {
            member: Some("api-proto".to_owned()),
            features: vec!["services".to_owned()],
            ..library("ferretcd-api-proto")
        };
        check("grpc-server", services.clone(), "");
        check("bench", services.clone(), "");
        check("engine", services, "only the rim turns on");
    }

    #[test]
    fn default_features_are_off() {
        check("engine", Dependency { default_features: true, ..library("tokio") }, "default features");
    }
}
