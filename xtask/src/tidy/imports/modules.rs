//! The module tree of a crate, and which file a path leads to.

use std::collections::{BTreeMap, BTreeSet};

use super::parse::{Import, Parsed, parse};
use crate::tidy::tree::File;

/// The files of one crate that are not for tests alone.
#[derive(Debug, Default)]
pub(super) struct Modules(Vec<Module>);

#[derive(Debug)]
struct Module {
    path: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    parsed: Parsed,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Target {
    /// A module itself.
    Module(usize),
    /// Something that this file declares.
    Item(usize),
}

/// Imports of imports are followed this far; a name that imports itself ends there.
const STEPS_MAX: usize = 8;

impl Modules {
    /// Reads what `lib.rs`, `main.rs` and the programs of `bin/` declare, and what that declares in turn.
    pub(super) fn read(folder: &str, files: &[File]) -> Self {
        let mut modules = Self::default();
        for file in files.iter().filter(|file| file.is_rust()) {
            let Some(name) = file.path.strip_prefix(folder) else { continue };
            if matches!(name, "lib.rs" | "main.rs") || name.starts_with("bin/") {
                let inside =
                    if name.starts_with("bin/") { format!("{folder}bin/") } else { folder.to_owned() };
                modules.add(file, None, &inside, files);
            }
        }
        modules
    }

    /// Adds a file and the modules that it declares, which are in the folder `inside`.
    fn add(&mut self, file: &File, parent: Option<usize>, inside: &str, files: &[File]) -> usize {
        let index = self.0.len();
        let parsed = parse(&file.text);
        let declared = parsed.modules.clone();
        self.0.push(Module { path: file.path.clone(), parent, children: BTreeMap::new(), parsed });
        for name in declared {
            let paths = [format!("{inside}{name}.rs"), format!("{inside}{name}/mod.rs")];
            let file = files.iter().find(|file| file.is_rust() && paths.contains(&file.path));
            if let Some(file) = file {
                let child = self.add(file, Some(index), &format!("{inside}{name}/"), files);
                self.0[index].children.insert(name, child);
            }
        }
        index
    }

    /// The files by their numbers.
    pub(super) fn paths(&self) -> Vec<&str> {
        self.0.iter().map(|module| module.path.as_str()).collect()
    }

    /// For each file the others that it imports from.
    pub(super) fn edges(&self) -> Vec<BTreeSet<usize>> {
        (0..self.0.len()).map(|from| self.imports_of(from)).collect()
    }

    fn imports_of(&self, from: usize) -> BTreeSet<usize> {
        let parsed = &self.0[from].parsed;
        let used = |import: &&Import| !import.public || parsed.names.contains(&import.name);
        let of_uses = parsed.imports.iter().filter(used).filter_map(|import| {
            match self.resolve(from, &import.path, 0)? {
                Target::Item(file) => Some(file),
                // A module's name is followed where it is used; a star uses all of them at once.
                Target::Module(file) => (import.name == "*").then_some(file),
            }
        });
        let of_paths = parsed.paths.iter().filter_map(|path| match self.resolve(from, path, 0)? {
            Target::Item(file) => Some(file),
            Target::Module(_) => None,
        });
        of_uses.chain(of_paths).filter(|to| *to != from).collect()
    }

    /// None for what is outside of the crate.
    fn resolve(&self, from: usize, path: &[String], steps: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            _ if steps > STEPS_MAX => return None,
            "crate" => self.root(from),
            "self" => from,
            "super" => {
                let above = self.0[from].parent?;
                return match rest.first().map(String::as_str) {
                    Some("super") => self.resolve(above, rest, steps),
                    _ => self.walk(above, rest, steps),
                };
            }
            name => match self.child_or_import(from, name, steps)?? {
                Target::Module(module) => module,
                item @ Target::Item(_) => return Some(item),
            },
        };
        self.walk(start, rest, steps)
    }

    fn root(&self, from: usize) -> usize {
        self.0[from].parent.map_or(from, |parent| self.root(parent))
    }

    /// Follows the segments down from a module.
    fn walk(&self, start: usize, segments: &[String], steps: usize) -> Option<Target> {
        let mut module = start;
        for segment in segments {
            match self.child_or_import(module, segment, steps) {
                Some(Some(Target::Module(next))) => module = next,
                Some(Some(item @ Target::Item(_))) => return Some(item),
                Some(None) => return None,
                None => {
                    return Some(self.behind_star(module, segment, steps).unwrap_or(Target::Item(module)));
                }
            }
        }
        Some(Target::Module(module))
    }

    /// What a name is inside a module, if it is a module below it or imported; and then none if that is outside of
    /// the crate.
    fn child_or_import(&self, module: usize, name: &str, steps: usize) -> Option<Option<Target>> {
        let inside = &self.0[module];
        if let Some(child) = inside.children.get(name) {
            return Some(Some(Target::Module(*child)));
        }
        let import = inside.parsed.imports.iter().find(|import| import.name == name)?;
        Some(self.resolve(module, &import.path, steps + 1))
    }

    /// Where a name comes from that the module passes on with `use below::*`.
    fn behind_star(&self, module: usize, name: &str, steps: usize) -> Option<Target> {
        let inside = &self.0[module].parsed;
        if inside.items.contains(name) {
            return None;
        }
        let stars = inside.imports.iter().filter(|import| import.name == "*");
        stars
            .filter_map(|import| match self.resolve(module, &import.path, steps + 1)? {
                Target::Module(below) if self.0[below].parsed.items.contains(name) => {
                    Some(Target::Item(below))
                }
                _ => None,
            })
            .next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files as `path: text`, and the edges as `from > to`.
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| File { path: format!("a/src/{path}"), text: (*text).to_owned() })
            .collect();
        let modules = Modules::read("a/src/", &files);
        let name = |index: usize| modules.paths()[index].trim_start_matches("a/src/").to_owned();
        let mut edges: Vec<String> = modules
            .edges()
            .iter()
            .enumerate()
            .flat_map(|(from, to)| to.iter().map(move |to| (from, *to)))
            .map(|(from, to)| format!("{} > {}", name(from), name(to)))
            .collect();
        edges.sort();
        assert_eq!(edges, expected);
    }

    #[test]
    fn declarations_and_reexports_are_no_imports() {
        check(&[("lib.rs", "mod a;\npub use a::A;\npub use a::*;"), ("a.rs", "pub struct A;")], &[]);
        check(
            &[("lib.rs", "mod a;\npub use a::A;\nfn f(a: A) {}"), ("a.rs", "pub struct A;")],
            &["lib.rs > a.rs"],
        );
    }

    #[test]
    fn imports_through_a_parent_lead_to_the_file_itself() {
        check(
            &[
                ("lib.rs", "mod a;\nmod b;\nmod c;\nuse a::A;\npub use b::*;"),
                ("a.rs", "pub struct A;"),
                ("b/mod.rs", "pub struct B;"),
                ("c.rs", "use super::{A, B};\nuse crate::D;"),
            ],
            &["c.rs > a.rs", "c.rs > b/mod.rs", "c.rs > lib.rs", "lib.rs > a.rs"],
        );
    }

    #[test]
    fn modules_are_followed_where_they_are_used() {
        check(
            &[
                ("lib.rs", "mod a;\nmod b;\nfn f() { b::g(); std::mem::drop(1); }"),
                ("a.rs", "pub fn f() {}"),
                ("b.rs", "use crate::a;\nuse std::mem;\npub fn g() { a::f(); mem::take(h); Self::i(); }"),
            ],
            &["b.rs > a.rs", "lib.rs > b.rs"],
        );
    }

    #[test]
    fn tests_are_no_part_of_it() {
        check(
            &[
                ("main.rs", "mod a;\n#[cfg(test)]\nmod tests;"),
                ("a.rs", "#[cfg(test)]\nmod tests { use crate::b; fn f() { b::c(); } }"),
                ("tests.rs", "use super::a::A;"),
            ],
            &[],
        );
    }
}
