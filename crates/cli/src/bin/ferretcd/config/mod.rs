//! From the values of flags to a configuration: checked, with every default resolved.

mod translate;

mod check;
mod cluster;
mod compaction;
mod discovery;
pub(crate) mod feature_gates;
mod log_options;
mod security;
mod timing;

pub(crate) use log_options::log_options;
pub(crate) use translate::{ProgramConfig, translate};
