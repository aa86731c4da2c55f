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

/// A circle: its files in alphabetical order, and for each file the others of the circle that it imports from.
pub(super) struct Circle {
    pub(super) files: Vec<(String, Vec<String>)>,
}

/// Refuses circles of more than two files.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let circles = tree.packages.iter().flat_map(|package| circles_of(tree, package));
    circles.filter(|circle| circle.files.len() > 2).map(|circle| finding(&circle)).collect()
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
