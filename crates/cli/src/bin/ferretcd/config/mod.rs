//! From the values of flags to a configuration: checked, with every default resolved.

mod translate;

mod auth;
mod check;
mod cluster;
mod compaction;
mod discovery;
mod log_options;
mod security;
mod timing;

#[cfg(test)]
mod file_tests;

#[cfg(test)]
pub(crate) use translate::tests::config as test_config;

pub(crate) use log_options::log_options;
pub(crate) use translate::{ProgramConfig, translate};
