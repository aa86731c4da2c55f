//! Circles of imports among the files of a crate.
//!
//! Two files may know each other, as a type and its parts do. A circle of more can only be read as one: its files
//! are refused. [`parse`] reads what a file names, [`modules`] finds the files that the names lead to. Left out are
//! unit tests, and a module that only declares others or passes their names on.

mod circles;
mod modules;
mod parse;

use self::modules::Modules;
use super::finding::Finding;
use super::tree::{Package, Tree};

/// How many files are still in circles of more than two. The number may only fall.
const LEFT: usize = 14;

/// A circle: its files in alphabetical order, and for each file the others of the circle that it imports from.
pub(super) struct Circle {
    pub(super) files: Vec<(String, Vec<String>)>,
}

/// The circles of more than two files, when more files are in them than may be left.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let circles = long_circles(tree);
    if files_in(&circles) > LEFT { circles.iter().map(finding).collect() } else { Vec::new() }
}

/// A remark when the number can be lowered.
pub(super) fn slack(tree: &Tree) -> Option<String> {
    let files = files_in(&long_circles(tree));
    (files < LEFT).then(|| format!("lower LEFT of xtask/src/tidy/imports/mod.rs from {LEFT} to {files}"))
}

/// All circles of a package, those of two files included.
pub(super) fn circles_of(tree: &Tree, package: &Package) -> Vec<Circle> {
    let modules = Modules::read(&package.sources(), &tree.files);
    let (paths, edges) = (modules.paths(), modules.edges());
    let circle = |nodes: Vec<usize>| {
        let imports = |node: usize| edges[node].iter().filter(|to| nodes.contains(to));
        let name = |node: usize| paths[node].to_owned();
        let mut files: Vec<_> =
            nodes.iter().map(|node| (name(*node), imports(*node).map(|to| name(*to)).collect())).collect();
        files.sort();
        Circle { files }
    };
    circles::circles(&edges).into_iter().map(circle).collect()
}

fn long_circles(tree: &Tree) -> Vec<Circle> {
    let circles = tree.packages.iter().flat_map(|package| circles_of(tree, package));
    circles.filter(|circle| circle.files.len() > 2).collect()
}

fn files_in(circles: &[Circle]) -> usize {
    circles.iter().map(|circle| circle.files.len()).sum()
}

fn finding(circle: &Circle) -> Finding {
    let names: Vec<&str> = circle.files.iter().map(|(path, _)| path.as_str()).collect();
    let message = format!(
        "{} files import each other in a circle, of which two may; move what they share into a file below them, \
         `cargo xtask tidy --graph` shows the imports: {}",
        names.len(),
        names.join(", ")
    );
    Finding { path: names[0].to_owned(), line: 0, message }
}
