//! Every method with every identity, on ferretcd and on etcd 3.7: code and text of each cell have to agree.
//!
//! A table has a row per call and a column per identity. Both servers run the same calls in the same order. Whatever a
//! call changes is either its own (users and roles with fresh names, leases with fresh ids) or undone before the next.
//! The path in the variable `AUTH_TABLE` gets the tables of etcd 3.7.

mod column;
mod rows;
mod world;

use std::fmt::Write as _;
use std::{env, fs};

use ferretcd_tests::{Cluster, Etcd37, Ferretcd, Process, report};

use self::column::Column;
use self::world::{Identity, World};
use crate::support::keys::SigningKey;

/// Where ferretcd is meant to differ: the beginning of rows, ferretcd's outcome in their cells, and the reason.
const MEANT: &[(&str, &str, &str)] = &[(
    "MemberUpdate with a bad URL",
    "InvalidArgument: etcdserver: given member URLs are invalid",
    "etcd takes any URL of a member that exists",
)];

/// The outcomes of one server.
struct Table {
    name: &'static str,
    columns: Vec<Column>,
}

impl Table {
    async fn record<C: Cluster>(name: &'static str, flags: &[&str], identities: &[Identity]) -> Self {
        let mut world = World::<C>::create(flags, identities).await;
        let mut columns = Vec::new();
        for &identity in identities {
            columns.push(rows::record(&mut world, identity).await);
        }
        Self { name, columns }
    }

    /// Row by row, columns with the same outcome together.
    fn text(&self) -> String {
        let mut out = format!("== {} ==\n", self.name);
        for (number, (row, _)) in self.columns[0].cells.iter().enumerate() {
            writeln!(out, "{row}").expect("a string takes everything");
            let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
            for column in &self.columns {
                let outcome = &column.cells[number].1;
                match groups.iter_mut().find(|(known, _)| known == outcome) {
                    Some((_, names)) => names.push(column.identity.name()),
                    None => groups.push((outcome, vec![column.identity.name()])),
                }
            }
            for (outcome, names) in groups {
                writeln!(out, "    {outcome:<70} {}", names.join(", ")).expect("a string takes everything");
            }
        }
        out
    }

    /// The cells that differ from the reference without a reason, and the reasons without such a cell.
    fn differences(&self, reference: &Self) -> Vec<String> {
        let (mut found, mut unused) = (Vec::new(), MEANT.to_vec());
        for (column, expected) in self.columns.iter().zip(&reference.columns) {
            for ((row, got), (_, wanted)) in column.cells.iter().zip(&expected.cells) {
                if got == wanted {
                    continue;
                }
                let is_meant =
                    |(rows, outcome, _): &(&str, &str, &str)| row.starts_with(rows) && got == outcome;
                if MEANT.iter().any(is_meant) {
                    unused.retain(|meant| !is_meant(meant));
                } else {
                    let (name, identity) = (self.name, column.identity.name());
                    found.push(format!(
                        "{name}: {row}, by {identity}\n    etcd:     {wanted}\n    ferretcd: {got}"
                    ));
                }
            }
        }
        found.extend(unused.iter().map(|(rows, _, reason)| format!("no difference in {rows}, but {reason}")));
        found
    }
}

/// Records the table from both servers.
async fn compared(name: &'static str, flags: &[&str], identities: &[Identity]) {
    let what = format!("the table {name}");
    if !report::available::<Process<Etcd37>>(&what) || !report::available::<Process<Ferretcd>>(&what) {
        return;
    }
    let reference = Table::record::<Process<Etcd37>>(name, flags, identities).await;
    if let Some(path) = env::var_os("AUTH_TABLE") {
        let path = std::path::Path::new(&path).with_extension(format!("{}.txt", name.replace(' ', "-")));
        fs::write(path, reference.text()).expect("the named file can be written");
    }
    let own = Table::record::<Process<Ferretcd>>(name, flags, identities).await;
    let differences = own.differences(&reference);
    assert!(differences.is_empty(), "{} cells differ:\n{}", differences.len(), differences.join("\n"));
}

#[tokio::test]
async fn simple_tokens() {
    use Identity::{Able, Deleted, Disabled, Empty, Garbage, Limited, Nobody, Reader, Root, Unknown, Writer};
    let identities =
        [Nobody, Unknown, Garbage, Empty, Deleted, Disabled, Limited, Reader, Writer, Able, Root];
    compared("simple tokens", &[], &identities).await;
}

#[tokio::test]
async fn signed_tokens() {
    use Identity::{Able, Deleted, Disabled, Garbage, Limited, Nobody, OldAble, OldRoot, Root, Unknown};
    let key = SigningKey::secret("the secret of both servers");
    let identities = [Nobody, Unknown, Garbage, Deleted, Disabled, OldAble, OldRoot, Limited, Able, Root];
    compared("signed tokens", &[&key.flag()], &identities).await;
}

#[tokio::test]
async fn without_authentication() {
    compared("authentication disabled", &[], &[Identity::Open, Identity::OpenGarbage]).await;
}
