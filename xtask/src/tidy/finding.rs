//! What a rule says when it is broken.

use std::fmt;

/// One violation, and what to do about it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Finding {
    /// Relative to the root of the workspace.
    pub(super) path: String,
    /// Counted from 1; 0 when the whole file is meant.
    pub(super) line: usize,
    pub(super) message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// A rule broken by a package's dependency. The line is found in its manifest afterwards.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Complaint {
    /// The dependency as the manifest calls it; empty when the package itself is meant.
    pub(super) dependency: String,
    pub(super) message: String,
}
