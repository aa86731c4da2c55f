//! Lines about requests that took long, in etcd's form, with where the time went.
//!
//! A request carries nothing for them but the moments that its metrics are made of. What else is needed is looked up when
//! it has turned out to be slow.

mod read;
mod stages;
mod trace;
mod write;

use std::fmt;

pub(crate) use read::{ReadResponse, SlowRead};
pub(crate) use write::{AppliedEntry, SlowWrite};

/// The line of a request, or of its part on the apply thread, that took longer than `--warning-apply-duration`.
struct TookTooLong {
    took: std::time::Duration,
    expected: std::time::Duration,
    prefix: &'static str,
    request: String,
    response: String,
    error: Option<String>,
    /// JSON.
    stages: String,
}

impl TookTooLong {
    fn log(&self) {
        tracing::warn!(
            took = ?self.took,
            "expected-duration" = ?self.expected,
            prefix = self.prefix,
            request = self.request,
            response = self.response,
            error = self.error,
            "stages[]" = self.stages,
            "apply request took too long"
        );
    }
}

/// Text of an error, for a field.
fn text_of<T>(result: &Result<T, impl fmt::Display>) -> Option<String> {
    result.as_ref().err().map(ToString::to_string)
}
