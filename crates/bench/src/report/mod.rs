//! The results as tables: ratios against their targets first, details behind.

mod json;
mod part;
mod target;

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

pub(crate) use self::json::render as json;
use self::part::Part;
use self::target::Target;
use crate::options::Product;
use crate::result::{Cell, Metric, Results};

/// How tables look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// With lines, for a terminal.
    Drawn,
    /// Aligned columns, for a pipe.
    Plain,
    Markdown,
}

/// More processor time than this, in percent of a core, is not the kernel's housekeeping.
const OTHERS_MAX: f64 = 20.0;

/// The whole report. `setting` are lines that say what was measured where.
pub(crate) fn text(results: &Results, setting: &[String], look: Look) -> String {
    let mut text = String::new();
    for line in setting {
        let bullet = if look == Look::Markdown { "- " } else { "" };
        let _ = writeln!(text, "{bullet}{line}");
    }
    section(&mut text, "Ratios, ferretcd to etcd", summary(results), look);
    for part in Part::ALL {
        let cells: Vec<Cell> =
            results.cells().into_iter().filter(|cell| Part::of(cell.workload) == part).collect();
        section(&mut text, part.title(), details(results, &cells, part.metrics()), look);
    }
    let most = results.samples.values().flatten().filter_map(|sample| sample.get(&Metric::Others));
    let most = most.copied().fold(0.0, f64::max);
    if most > OTHERS_MAX {
        let _ = writeln!(
            text,
            "\nOther programs took up to {most:.0} % of a core; repeat this on an idle machine."
        );
    }
    for failure in &results.failures {
        let _ = writeln!(text, "\nFAILED: {failure}");
    }
    text
}

fn section(text: &mut String, title: &str, (header, rows): Rows, look: Look) {
    if rows.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(match look {
        Look::Drawn => presets::UTF8_FULL_CONDENSED,
        Look::Plain => presets::NOTHING,
        Look::Markdown => presets::ASCII_MARKDOWN,
    });
    table.set_header(header).add_rows(rows);
    for column in table.column_iter_mut().skip(N_NAME_COLUMNS) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mark = if look == Look::Markdown { "### " } else { "" };
    let _ = writeln!(text, "\n{mark}{title}\n");
    for line in table.lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// A header and the rows below it, left-aligned in the first [`N_NAME_COLUMNS`].
type Rows = (Vec<String>, Vec<Vec<String>>);
const N_NAME_COLUMNS: usize = 3;

fn summary(results: &Results) -> Rows {
    let header = ["workload", "clients", "measure", "ferretcd", "etcd", "ratio", "target", ""];
    let mut rows = Vec::new();
    for cell in results.cells() {
        for metric in Part::of(cell.workload).compared() {
            let of = |product| results.value(cell, product, *metric);
            let has_counterpart = results.samples.contains_key(&(cell, Product::Etcd));
            let Some(ours) = of(Product::Ferretcd).filter(|_| has_counterpart) else { continue };
            // These are ratios by themselves, and etcd's loss can be 0 or, by noise, less.
            let is_ratio = matches!(metric, Metric::Loss | Metric::OfRateWithoutAuth);
            let ratio = results.ratio(cell, *metric).filter(|_| !is_ratio);
            let target = Target::of(cell, *metric).filter(|_| !results.paced);
            let verdict = match target.map(|target| target.is_met(ours, ratio)) {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            rows.push(vec![
                cell.workload.name().to_owned(),
                cell.clients.to_string(),
                metric.title().to_owned(),
                number(ours),
                // A server that was ended by the system has no number.
                of(Product::Etcd).map_or_else(|| "-".to_owned(), number),
                ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                target.map(|target| target.to_string()).unwrap_or_default(),
                verdict.to_owned(),
            ]);
        }
    }
    (header.map(str::to_owned).to_vec(), rows)
}

fn details(results: &Results, cells: &[Cell], metrics: &[Metric]) -> Rows {
    let names = ["workload", "clients", "server"].into_iter();
    let header = names.chain(metrics.iter().map(|metric| metric.title())).map(str::to_owned).collect();
    let mut rows = Vec::new();
    for cell in cells {
        for product in [Product::Ferretcd, Product::Etcd] {
            if !results.samples.contains_key(&(*cell, product)) {
                continue;
            }
            let mut row =
                vec![cell.workload.name().to_owned(), cell.clients.to_string(), product.name().to_owned()];
            row.extend(metrics.iter().map(|metric| match results.value(*cell, product, *metric) {
                Some(value) => number(value),
                None => "-".to_owned(),
            }));
            rows.push(row);
        }
    }
    (header, rows)
}

/// Three digits or more.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        _ if value.abs() < 10.0 => format!("{value:.2}"),
        _ if value.abs() < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Sample;
    use crate::workload::Workload;

    fn results(ours: f64, theirs: f64) -> Results {
        let cell = Cell { workload: Workload::Put, clients: 64 };
        let mut results = Results::default();
        for (product, rate) in [(Product::Ferretcd, ours), (Product::Etcd, theirs)] {
            results.samples.insert((cell, product), vec![Sample::from([(Metric::Rate, rate)])]);
        }
        results
    }

    /// The lines with single spaces.
    fn squeezed(text: &str) -> Vec<String> {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn the_summary_judges_ratios() {
        for (ours, theirs, expected) in
            [(30_000.0, 10_000.0, "3.00  >= 2.50  met"), (5.0, 10.0, "0.50  >= 2.50  MISSED")]
        {
            let text = text(&results(ours, theirs), &[], Look::Plain);
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn what_a_server_leaves_behind_is_judged_by_the_time() {
        let cell = Cell { workload: Workload::LeaseExpiry, clients: 1000 };
        let mut results = Results::default();
        for (product, gone, left) in [(Product::Ferretcd, 2.5, 0.0), (Product::Etcd, 60.0, 40.0)] {
            let sample = Sample::from([(Metric::Gone, gone), (Metric::Left, left)]);
            results.samples.insert((cell, product), vec![sample]);
        }
        let text = text(&results, &[], Look::Plain);
        assert!(text.contains("10 at most  met") && text.contains("Leases"), "{text}");
    }

    #[test]
    fn a_server_that_was_ended_is_compared_without_its_numbers() {
        let cell = Cell { workload: Workload::ListGroup, clients: 50 };
        let mut results = Results::default();
        let ours = Sample::from([(Metric::TimesQuiet, 1.5), (Metric::Killed, 0.0)]);
        results.samples.insert((cell, Product::Ferretcd), vec![ours]);
        results.samples.insert((cell, Product::Etcd), vec![Sample::from([(Metric::Killed, 1.0)])]);
        let lines = squeezed(&text(&results, &[], Look::Plain));
        for expected in
            ["list-group 50 p99/quiet 1.50 - 2 at most met", "list-group 50 killed 0 1.00 0.00 0 at most met"]
        {
            assert!(lines.iter().any(|line| line == expected), "{lines:#?}");
        }
    }

    #[test]
    fn watches_that_a_server_never_ends_have_no_time() {
        let cell = Cell { workload: Workload::AuthRevoke, clients: 1000 };
        let mut results = Results::default();
        let ours = Sample::from([(Metric::CanceledAfter, 12.0), (Metric::Left, 0.0)]);
        results.samples.insert((cell, Product::Ferretcd), vec![ours]);
        results.samples.insert((cell, Product::Etcd), vec![Sample::from([(Metric::Left, 100.0)])]);
        let lines = squeezed(&text(&results, &[], Look::Plain));
        for expected in [
            "auth-revoke 1000 canceled after ms 12.0 - 100 at most met",
            "auth-revoke 1000 left % 0 100 0.00 0 at most met",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{lines:#?}");
        }
    }

    #[test]
    fn failures_are_part_of_the_report() {
        let results = Results { failures: vec!["etcd ended".into()], ..Results::default() };
        assert_eq!(text(&results, &["2 cores".into()], Look::Markdown), "- 2 cores\n\nFAILED: etcd ended\n");
    }

    #[test]
    fn without_a_counterpart_there_is_no_summary() {
        let mut results = results(1.0, 1.0);
        results.samples.retain(|(_, product), _| *product == Product::Etcd);
        let text = text(&results, &[], Look::Plain);
        assert!(!text.contains("Ratios") && text.contains("Loads"), "{text}");
    }
}
