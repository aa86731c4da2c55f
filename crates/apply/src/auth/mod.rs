//! Requests about users and roles, and what a user may do.

mod check;
mod execute;
mod request;

pub use check::{check_lease, check_txn};
pub(crate) use execute::execute;
pub use execute::{AuthChange, AuthResponse, SimpleToken};
pub use request::AuthRequest;
