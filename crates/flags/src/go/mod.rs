//! Values in the notation of Go's standard library, which etcd's flags, files and logs use.

mod duration;
mod scalar;

pub use duration::{DurationError, Nanos, format_duration as go_duration};
pub use scalar::ScalarError;
pub use scalar::parse_bool;
pub(crate) use scalar::{parse_int, parse_uint};
