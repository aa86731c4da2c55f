//! What a member does before its first start, while it has no log: finding the founders, checking that it is one of
//! them, and joining.

mod check;
mod founders;
mod join;
mod resolved_urls;

pub use check::{BootstrapError, UrlMismatch};
pub(crate) use founders::{find_in_dns, find_in_registry, founders};
pub use join::JoinError;
pub(crate) use join::found_or_join;
pub use resolved_urls::Unresolved;
