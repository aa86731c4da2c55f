//! The form of the manifests: every version, every reason and every lint in one place, the root's.
//!
//! Manifests are read line by line. That is enough because this module also requires the form that it understands: one
//! dependency, one line.

use super::finding::{Complaint, Finding};
use super::tree::{Dependency, File, Package};

/// `key = value` under `[section]`.
struct Entry<'a> {
    section: &'a str,
    /// Up to the first dot: `bytes` of `bytes.workspace`.
    key: &'a str,
    /// All of the line, `bytes.workspace = true`.
    text: &'a str,
    line: usize,
}

/// Judges the root manifest and those of its members.
pub(super) fn check(root: &File, members: &[&File]) -> Vec<Finding> {
    let mut findings = reasons(root);
    findings.extend(unused(root, members));
    findings.extend(members.iter().flat_map(|member| self::member(member)));
    findings
}

/// Finds the line of the manifest that a complaint is about.
pub(super) fn place(manifest: &File, complaint: Complaint) -> Finding {
    let line = entries(manifest)
        .find(|entry| is_dependencies(entry.section) && entry.key == complaint.dependency)
        .map_or(0, |entry| entry.line);
    manifest.at(line, complaint.message)
}

/// A member of the workspace has one name: its package's, which every manifest and all code use.
pub(super) fn renamed(package: &Package) -> Vec<Complaint> {
    let renamed = |it: &&Dependency| it.member.is_some() && it.key != it.package;
    let complaint = |it: &Dependency| Complaint {
        dependency: it.key.clone(),
        message: format!("call {} by its own name, in the root manifest too", it.package),
    };
    package.dependencies.iter().filter(renamed).map(complaint).collect()
}

/// Each outside dependency stands below the comment that justifies it, and without default features.
fn reasons(root: &File) -> Vec<Finding> {
    let lines: Vec<&str> = root.text.lines().collect();
    let mut findings = Vec::new();
    for entry in shared(root).filter(|entry| !entry.text.contains("path = ")) {
        let above = entry.line.checked_sub(2).and_then(|index| lines.get(index));
        if !above.is_some_and(|line| line.starts_with('#')) {
            findings.push(root.at(entry.line, format!("say in a comment above what {} is for", entry.key)));
        }
        if !entry.text.contains("default-features = false") {
            let message = format!(
                "set default-features = false on {} and name the features that are needed",
                entry.key
            );
            findings.push(root.at(entry.line, message));
        }
    }
    findings
}

fn unused(root: &File, members: &[&File]) -> Vec<Finding> {
    let is_used = |key: &str| {
        let mut dependencies = members.iter().flat_map(|member| entries(member));
        dependencies.any(|entry| is_dependencies(entry.section) && entry.key == key)
    };
    shared(root)
        .filter(|entry| !is_used(entry.key))
        .map(|entry| root.at(entry.line, format!("remove {}: no member uses it", entry.key)))
        .collect()
}

/// A member takes dependencies and lints from the root.
fn member(manifest: &File) -> Vec<Finding> {
    let mut findings: Vec<Finding> = entries(manifest)
        .filter(|entry| is_dependencies(entry.section) && !inherits(entry.text))
        .map(|entry| {
            manifest.at(entry.line, format!("declare {} in the root manifest and inherit it here", entry.key))
        })
        .collect();
    findings.extend(
        manifest
            .lines()
            .filter(|(_, line)| is_long_form(line))
            .map(|(number, _)| manifest.at(number, "write the dependency on one line below [dependencies]")),
    );
    if !entries(manifest).any(|entry| entry.section == "lints" && entry.text == "workspace = true") {
        findings.push(manifest.at(0, "inherit the lints: `[lints]` with `workspace = true`"));
    }
    findings
}

fn inherits(entry: &str) -> bool {
    let value = entry.split_once('=').map_or("", |(_, value)| value);
    entry.contains(".workspace = true") || value.contains("workspace = true")
}

fn shared(root: &File) -> impl Iterator<Item = Entry<'_>> {
    entries(root).filter(|entry| entry.section == "workspace.dependencies")
}

/// `[dependencies]`, `[dev-dependencies]`, `[target.'cfg(unix)'.dependencies]`.
fn is_dependencies(section: &str) -> bool {
    section != "workspace.dependencies" && section.ends_with("dependencies")
}

/// `[dependencies.tokio]`
fn is_long_form(line: &str) -> bool {
    line.starts_with('[') && line.contains("dependencies.")
}

fn entries(manifest: &File) -> impl Iterator<Item = Entry<'_>> {
    let mut section = "";
    manifest.lines().filter_map(move |(line, text)| {
        let text = text.trim();
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            return None;
        }
        let (key, _) = text.split_once('=').filter(|_| !text.starts_with('#'))?;
        Some(Entry { section, key: key.split('.').next()?.trim(), text, line })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: &str = "[dependencies]\nbytes.workspace = true\n\n[lints]\nworkspace = true\n";

    fn file(text: &str) -> File {
        File { path: "Cargo.toml".to_owned(), text: text.to_owned() }
    }

    /// Compares the findings with what is expected of them: line and part of the message.
    fn check(root: &str, member: &str, expected: &[(usize, &str)]) {
        let findings = super::check(&file(root), &[&file(member)]);
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        for (finding, (line, message)) in findings.iter().zip(expected) {
            assert!(finding.line == *line && finding.message.contains(message), "{finding}");
        }
    }

    fn check_root(dependencies: &str, expected: &[(usize, &str)]) {
        check(&format!("[workspace.dependencies]\n{dependencies}"), MEMBER, expected);
    }

    fn check_member(member: &str, expected: &[(usize, &str)]) {
        check("", member, expected);
    }

    #[test]
    fn dependencies_have_a_reason_and_no_default_features() {
        check_root("# Bytes.\nbytes = { version = \"1\", default-features = false }", &[]);
        check_root("bytes = { path = \"crates/bytes\" }", &[]);
        check_root("bytes = { version = \"1\", default-features = false }", &[(2, "say in a comment")]);
        check_root("# Bytes.\nbytes = \"1\"", &[(3, "default-features")]);
        check_root(
            "# Bytes.\nbytes = { version = \"1\", default-features = false }\n# Unused.\n\
             h2 = { version = \"0.4\", default-features = false }",
            &[(5, "remove h2")],
        );
    }

    #[test]
    fn members_inherit() {
        check_member(MEMBER, &[]);
        check_member(
            "[lints]\nworkspace = true\n[dependencies]\na = { workspace = true, features = [\"x\"] }",
            &[],
        );
        check_member("[lints]\nworkspace = true\n[dev-dependencies]\na = \"1\"", &[(4, "declare a")]);
        check_member(
            "[lints]\nworkspace = true\n[target.'cfg(unix)'.dependencies]\na = \"1\"",
            &[(4, "declare a")],
        );
        check_member("[lints]\nworkspace = true\n[dependencies.a]\nversion = \"1\"", &[(3, "one line")]);
        check_member("[dependencies]\na.workspace = true", &[(0, "inherit the lints")]);
    }

    #[test]
    fn members_have_one_name() {
        let check = |key: &str, member: Option<&str>, expected: usize| {
            let dependency = Dependency {
                key: key.to_owned(),
                package: "ferretcd-base".to_owned(),
                member: member.map(str::to_owned),
                ..Dependency::default()
            };
            let package =
                Package { name: "mvcc".to_owned(), manifest: String::new(), dependencies: vec![dependency] };
            assert_eq!(renamed(&package).len(), expected, "{key}");
        };
        check("ferretcd-base", Some("base"), 0);
        check("base", Some("base"), 1);
        check("base", None, 0);
    }

    #[test]
    fn complaints_get_their_line() {
        let complaint = |name: &str| Complaint { dependency: name.to_owned(), message: String::new() };
        assert_eq!(place(&file(MEMBER), complaint("bytes")).line, 2);
        assert_eq!(place(&file(MEMBER), complaint("")).line, 0);
    }
}
