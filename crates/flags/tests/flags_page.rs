//! `docs/flags.md` says what the table says.

use std::collections::BTreeMap;
use std::path::Path;

use ferretcd_flags::{FLAGS, Flag, GATES, Section, Stage, Status};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/flags.md");
    std::fs::read_to_string(path).expect("the page is there")
}

/// The rows of the tables that begin with a name, by that name: their cells without quotes.
fn rows(page: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let inside = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')).expect("a whole row");
        let cells: Vec<_> = inside.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        assert_eq!(rows.insert(cells[0].clone(), cells), None, "two rows: {line}");
    }
    rows
}

fn expected(flag: &Flag) -> [String; 4] {
    let effect = match flag.status {
        Status::Effective if flag.is_reloadable => "yes, reloads",
        Status::Effective => "yes",
        Status::NoEffect => "none",
        Status::Retiring(_) => "deprecated",
        Status::Ignored => unreachable!("they have no row"),
    };
    let key = match flag.file_key {
        None => "–",
        Some(key) if key == flag.name => "=",
        Some(key) => key,
    };
    [flag.name, flag.default, key, effect].map(str::to_owned)
}

#[test]
fn every_flag_has_its_row() {
    let page = page();
    let rows = rows(&page);
    for flag in &FLAGS {
        if flag.section == Section::Ignored {
            assert!(page.contains(&format!("`{}`", flag.name)), "docs/flags.md lacks {}", flag.name);
            continue;
        }
        let row = rows.get(flag.name).unwrap_or_else(|| panic!("docs/flags.md has no row for {}", flag.name));
        assert_eq!(row[..4], expected(flag), "docs/flags.md differs from the table in crates/flags");
        let is_explained = flag.status == Status::Effective || !row[4].is_empty();
        assert!(is_explained, "docs/flags.md does not say why {} has no effect", flag.name);
    }
}

#[test]
fn every_gate_has_its_row() {
    let rows = rows(&page());
    for gate in &GATES {
        let row = rows.get(gate.name).unwrap_or_else(|| panic!("docs/flags.md has no row for {}", gate.name));
        let default = (gate.stage == Stage::Beta).to_string();
        let effect = if gate.has_effect { "yes" } else { "none" };
        assert_eq!(row[1..3], [default, effect.to_owned()], "{}", gate.name);
        assert!(!row[3].is_empty(), "docs/flags.md does not say why {} is as it is", gate.name);
    }
    let is_known = |name: &&String| {
        FLAGS.iter().any(|flag| flag.name == **name)
            || GATES.iter().any(|gate| gate.name == **name)
            || name.starts_with("AllAlpha")
    };
    let unknown: Vec<_> = rows.keys().filter(|name| !is_known(name)).collect();
    assert!(unknown.is_empty(), "docs/flags.md has rows for {unknown:?}");
}
