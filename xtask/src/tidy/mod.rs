//! `cargo xtask tidy`: the rules of this workspace that a machine can check and no compiler does.
//!
//! [`layers`] and [`libraries`] judge what packages depend on, [`manifests`] how the manifests say so, [`sources`]
//! and [`functions`] what Rust files contain, [`imports`] what they import from each other, [`words`] how comments,
//! names and documents speak, [`texts`] what any file contains. Each is a plain function from what [`tree`] has read
//! to [`Finding`]s. Last, the checked-in generated code is compared with `proto/`.
//!
//! With `--graph` the crates and the circles of imports are shown instead, with `--words` the words that are avoided.
//!
//! What the lints of the root manifest or `deny.toml` can say is said there, not here.

mod finding;
mod functions;
mod graph;
mod imports;
mod layers;
mod libraries;
mod manifests;
mod rust;
mod sources;
mod texts;
mod tree;
mod words;

use std::io::Write as _;

use self::finding::Finding;
use self::tree::Tree;
use crate::{TaskResult, codegen};

/// Does what the options say; without any, checks every rule.
pub(crate) fn run(options: &[&str]) -> TaskResult {
    let tree = Tree::read()?;
    let mut stdout = std::io::stdout().lock();
    match options {
        [] => check(&tree, &mut stdout),
        ["--graph"] => Ok(graph::print(&tree, &mut stdout)?),
        ["--words"] => {
            let found: Vec<Finding> = tree.files.iter().flat_map(words::check).collect();
            found.iter().try_for_each(|finding| writeln!(stdout, "{finding}"))?;
            Ok(writeln!(stdout, "{} in all", found.len())?)
        }
        _ => Err("usage: cargo xtask tidy [--graph | --words]".into()),
    }
}

/// Prints every violation as `file:line: what to do`; one is enough to fail.
fn check(tree: &Tree, stdout: &mut impl std::io::Write) -> TaskResult {
    let mut violations = violations(tree);
    violations.sort();
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
        let complaints = complaints.chain(manifests::renamed(package));
        complaints.map(move |complaint| manifests::place(manifest, complaint))
    });
    let of_files = tree.files.iter().flat_map(|file| {
        let mut found = texts::check(file);
        found.extend(sources::check(file));
        found.extend(functions::check(file));
        found.extend(words::check(file));
        found
    });
    let members: Vec<_> = tree.packages.iter().map(|package| tree.manifest(package)).collect();
    of_packages
        .chain(of_files)
        .chain(manifests::check(tree.root_manifest(), &members))
        .chain(imports::check(tree))
        .collect()
}
