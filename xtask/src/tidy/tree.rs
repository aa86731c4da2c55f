//! The workspace as the rules see it: its files by git's list, its packages by cargo's.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::finding::Finding;
use crate::workspace_root;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Everything that is or is about to be in git.
pub(super) struct Tree {
    pub(super) files: Vec<File>,
    pub(super) packages: Vec<Package>,
}

/// A file with its content; bytes that are no UTF-8 are replaced.
pub(super) struct File {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// A member of the workspace.
pub(super) struct Package {
    /// Name of its folder, which is how code names it.
    pub(super) name: String,
    /// Path of its manifest, relative to the root.
    pub(super) manifest: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// One line of a package's dependencies, with what it inherits.
#[derive(Clone, Default)]
pub(super) struct Dependency {
    /// The name the manifest uses.
    pub(super) key: String,
    /// The package's own name.
    pub(super) package: String,
    /// The folder, if it is a member of this workspace.
    pub(super) member: Option<String>,
    pub(super) dev: bool,
    pub(super) optional: bool,
    pub(super) default_features: bool,
    pub(super) features: Vec<String>,
}

impl Tree {
    pub(super) fn read() -> Outcome<Self> {
        let root = workspace_root();
        // Files that git does not know yet will be added; better to hear of them before.
        let list = output(&root, "git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        let list = String::from_utf8(list)?;
        let mut files = Vec::new();
        for path in list.split_terminator('\0') {
            // What was deleted stays in the list until the deletion is staged.
            if root.join(path).is_file() {
                let text = String::from_utf8_lossy(&fs::read(root.join(path))?).into_owned();
                files.push(File { path: path.to_owned(), text });
            }
        }
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let metadata = output(&root, &cargo, &["metadata", "--no-deps", "--offline", "--format-version=1"])?;
        Ok(Self { files, packages: packages(&serde_json::from_slice(&metadata)?, &root)? })
    }

    pub(super) fn root_manifest(&self) -> &File {
        self.file("Cargo.toml")
    }

    pub(super) fn manifest(&self, package: &Package) -> &File {
        self.file(&package.manifest)
    }

    fn file(&self, path: &str) -> &File {
        self.files.iter().find(|file| file.path == path).expect("manifests are not ignored by git")
    }
}

impl Package {
    /// The folder of its sources, with a slash at the end.
    pub(super) fn sources(&self) -> String {
        format!("{}src/", self.manifest.trim_end_matches("Cargo.toml"))
    }
}

impl File {
    /// Lines with their numbers.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// Lines with their numbers, without what follows `//`.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().map(|(number, line)| (number, without_comment(line)))
    }

    pub(super) fn at(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, message: message.into() }
    }

    pub(super) fn is_generated(&self) -> bool {
        self.path.contains("/generated/")
    }

    /// Rust that people write.
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs") && !self.is_generated()
    }

    /// Whether the file only tests: in a folder of tests, or a module `tests` of its own.
    pub(super) fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The crate whose `src/` holds the file.
    pub(super) fn source_of(&self) -> Option<&str> {
        let (name, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        rest.starts_with("src/").then_some(name)
    }
}

/// Cuts at `//` unless it is a URL's.
fn without_comment(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

fn output(root: &Path, program: &str, args: &[&str]) -> Outcome<Vec<u8>> {
    let output = Command::new(program)
        .args(args)
        .current_dir(root)
        .output()
        .map_err(|error| format!("run {program}: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}\n{reason}", args.join(" "), output.status).into())
}

fn packages(metadata: &Value, root: &Path) -> Outcome<Vec<Package>> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    packages.iter().map(|package| self::package(package, root)).collect()
}

fn package(package: &Value, root: &Path) -> Outcome<Package> {
    let path = Path::new(package["manifest_path"].as_str().ok_or("a package has no manifest")?);
    let folder = path.parent().ok_or("a manifest is in no folder")?;
    Ok(Package {
        name: last(folder),
        manifest: path.strip_prefix(root)?.to_string_lossy().replace('\\', "/"),
        dependencies: list(&package["dependencies"]).map(dependency).collect(),
    })
}

fn dependency(entry: &Value) -> Dependency {
    let package = entry["name"].as_str().unwrap_or_default().to_owned();
    Dependency {
        key: entry["rename"].as_str().unwrap_or(&package).to_owned(),
        package,
        member: entry["path"].as_str().map(|path| last(Path::new(path))),
        dev: entry["kind"] == "dev",
        optional: entry["optional"] == true,
        default_features: entry["uses_default_features"] == true,
        features: list(&entry["features"]).filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn last(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_cut_and_urls_are_not() {
        for (line, code) in [
            ("let a = 1;", "let a = 1;"),
            ("let a = 1; // one", "let a = 1; "),
            ("/// docs", ""),
            (r#"let url = "http://a"; // b"#, r#"let url = "http://a"; "#),
        ] {
            assert_eq!(without_comment(line), code);
        }
    }

    #[test]
    fn files_know_where_they_belong() {
        let file = |path: &str| File { path: path.to_owned(), text: String::new() };
        assert_eq!(file("crates/mvcc/src/read.rs").source_of(), Some("mvcc"));
        assert_eq!(file("crates/mvcc/tests/model.rs").source_of(), None);
        assert_eq!(file("xtask/src/main.rs").source_of(), None);
        assert!(!file("crates/api-proto/src/generated/a.rs").is_rust());
    }

    #[test]
    fn metadata_becomes_packages() {
        let metadata = serde_json::json!({ "packages": [{
            "manifest_path": "/ws/crates/mvcc/Cargo.toml",
            "dependencies": [
                { "name": "ferretcd-base", "rename": "base", "path": "/ws/crates/base", "kind": null,
                  "optional": false, "uses_default_features": true, "features": [] },
                { "name": "proptest", "rename": null, "kind": "dev", "optional": false,
                  "uses_default_features": false, "features": ["std"] },
            ],
        }]});
        let packages = packages(&metadata, Path::new("/ws")).unwrap();
        let [package] = packages.as_slice() else { panic!("one package") };
        assert_eq!((package.name.as_str(), package.manifest.as_str()), ("mvcc", "crates/mvcc/Cargo.toml"));
        let [base, proptest] = package.dependencies.as_slice() else { panic!("two dependencies") };
        assert_eq!((base.key.as_str(), base.member.as_deref(), base.dev), ("base", Some("base"), false));
        assert_eq!(
            (proptest.key.as_str(), proptest.member.as_deref(), proptest.dev),
            ("proptest", None, true)
        );
        assert_eq!(proptest.features, ["std"]);
    }
}
