//! The two streams around leases: one that keeps them, one that shows how they end.

mod observer;
mod renewals;

pub use observer::Observer;
pub use renewals::Renewals;
