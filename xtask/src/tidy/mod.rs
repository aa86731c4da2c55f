//! `cargo xtask tidy`: the rules of this workspace that a machine can check and no compiler does.
//!
//! [`layers`] and [`libraries`] judge what packages depend on, [`manifests`] how the manifests say so, [`sources`]
//! what Rust files contain, [`texts`] what any file contains. Each is a plain function from what [`tree`] has read
//! to [`Finding`]s. Last, the checked-in generated code is compared with `proto/`.
//!
//! What the lints of the root manifest or `deny.toml` can say is said there, not here.

mod finding;
mod layers;
mod libraries;
mod manifests;
mod sources;
mod texts;
mod tree;

use std::io::Write as _;

use self::finding::Finding;
use self::tree::Tree;
use crate::{TaskResult, codegen};

/// Prints every violation as `file:line: what to do`; one is enough to fail.
pub(crate) fn run(options: &[&str]) -> TaskResult {
    if !options.is_empty() {
        return Err("usage: cargo xtask tidy".into());
    }
    let tree = Tree::read()?;
    let mut violations = violations(&tree);
    violations.sort();
    let mut stdout = std::io::stdout().lock();
    for warning in tree.files.iter().filter_map(sources::long_file) {
        writeln!(stdout, "warning: {warning}")?;
    }
    for violation in &violations {
        writeln!(stdout, "{violation}")?;
    }
    let generated = codegen::run(&["--check"]);
    if let Err(stale) = &generated {
        writeln!(stdout, "{stale}")?;
    }
    if violations.is_empty() && generated.is_ok() {
        writeln!(stdout, "tidy: {} files in {} packages, clean", tree.files.len(), tree.packages.len())?;
        return Ok(());
    }
    let stale = if generated.is_ok() { "" } else { " and stale generated code" };
    Err(format!("tidy: {} violations{stale}", violations.len()).into())
}

fn violations(tree: &Tree) -> Vec<Finding> {
    let of_packages = tree.packages.iter().flat_map(|package| {
        let manifest = tree.manifest(package);
        let complaints = layers::check(package).into_iter().chain(libraries::check(package));
        complaints.map(move |complaint| manifests::place(manifest, complaint))
    });
    let of_files = tree.files.iter().flat_map(|file| {
        let mut found = texts::check(file);
        found.extend(sources::check(file));
        found
    });
    let members: Vec<_> = tree.packages.iter().map(|package| tree.manifest(package)).collect();
    of_packages.chain(of_files).chain(manifests::check(tree.root_manifest(), &members)).collect()
}
