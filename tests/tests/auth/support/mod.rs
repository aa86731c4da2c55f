//! Servers with users and roles, and the outcomes of calls.

pub(crate) mod keys;
pub(crate) mod requests;
pub(crate) mod setup;
pub(crate) mod texts;

use tonic::Status;

pub(crate) use self::setup::{PASSWORD, ROOT, enabled, grant, role, root, started, started_with, user};

/// `ok`, or code and text of the error.
pub(crate) fn outcome<T>(response: &Result<T, Status>) -> String {
    match response {
        Ok(_) => "ok".to_owned(),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

/// Asserts that a call ends like this.
#[track_caller]
pub(crate) fn ends<T>(response: Result<T, Status>, expected: &str) {
    assert_eq!(outcome(&response), expected);
}
