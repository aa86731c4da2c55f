//! One row of the flag table.

use crate::{Kind, Value};

/// A flag as the table describes it.
#[derive(Debug)]
pub struct Flag {
    /// Where it stands in the help.
    pub section: Section,
    /// The name without dashes.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// The value when nothing sets it, in the notation of the command line.
    pub default: &'static str,
    /// What setting it does.
    pub status: Status,
    /// One or two sentences for the help.
    pub help: &'static str,
    /// Its place in the configuration file: a key, or two or more joined by dots. `None` if the file can't set it.
    pub file_key: Option<&'static str>,
    /// Whether another value in the configuration file can take effect while the server runs.
    pub is_reloadable: bool,
}

/// The headings of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The member itself: its name, files, addresses and limits.
    Member,
    /// The cluster it belongs to or founds.
    Clustering,
    /// Encryption, and which certificates may connect.
    Security,
    /// Users and tokens.
    Auth,
    /// Log lines and traces.
    Logging,
    /// Metrics, compaction, checks and warnings.
    Monitoring,
    /// Feature gates, the configuration file, unsafe switches.
    Features,
    /// What etcd does not have.
    Own,
    /// Accepted for the sake of old scripts.
    Ignored,
}

/// What setting a flag does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// What the help says.
    Effective,
    /// Nothing but a warning: the value is read and checked, and this version does not act on it.
    NoEffect,
    /// Nothing but this warning, whenever it is set: etcd gives it up.
    Retiring(&'static str),
    /// Nothing but a warning: etcd ignores it, too.
    Ignored,
}

impl Flag {
    /// The value when nothing sets it.
    pub(crate) fn default_value(&self) -> Value {
        self.kind.parse_default(self.default)
    }

    /// Whether it can stand alone on the command line, meaning true.
    pub(crate) fn is_switch(&self) -> bool {
        matches!(self.kind, Kind::Bool | Kind::Ignored)
    }
}
