//! The two streams around leases: keep-alives, and a watch of their keys.

mod observer;
mod renewals;

pub use observer::Observer;
pub use renewals::Renewals;
