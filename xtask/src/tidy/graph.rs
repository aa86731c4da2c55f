//! The crates and the circles of imports, as text.

use std::io::{Result, Write};

use super::imports::{self, Circle};
use super::layers;
use super::tree::{Package, Tree};

/// Prints which crate depends on which, bottom up, and which files of a crate import each other in circles.
pub(super) fn print(tree: &Tree, out: &mut impl Write) -> Result<()> {
    let mut packages: Vec<(Option<usize>, &Package)> =
        tree.packages.iter().map(|package| (layers::layer(&package.name), package)).collect();
    packages.sort_by_key(|(layer, package)| (layer.unwrap_or(usize::MAX), package.name.clone()));
    writeln!(out, "crates by layer, and what they depend on, tests and examples apart:")?;
    for (layer, package) in &packages {
        let layer = layer.map_or_else(|| "-".to_owned(), |layer| layer.to_string());
        writeln!(out, "  {layer} {}{}", package.name, arrow(&dependencies(package)))?;
    }
    writeln!(out, "\nfiles that import each other, unit tests apart:")?;
    let circles: Vec<Circle> =
        packages.iter().flat_map(|(_, package)| imports::circles_of(tree, package)).collect();
    for circle in circles.iter().filter(|circle| circle.files.len() > 2) {
        writeln!(out, "  a circle of {}", circle.files.len())?;
        for (file, imported) in &circle.files {
            writeln!(out, "    {file}{}", arrow(imported))?;
        }
    }
    let long = circles.iter().filter(|circle| circle.files.len() > 2).count();
    writeln!(out, "  {long} circles of more than two files, {} of two", circles.len() - long)
}

fn dependencies(package: &Package) -> Vec<String> {
    let mut names: Vec<String> =
        package.dependencies.iter().filter(|it| !it.dev).filter_map(|it| it.member.clone()).collect();
    names.sort();
    names.dedup();
    names
}

fn arrow(to: &[String]) -> String {
    if to.is_empty() { String::new() } else { format!(" -> {}", to.join(", ")) }
}
