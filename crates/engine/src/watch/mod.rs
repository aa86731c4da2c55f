//! Watches: the hub on a thread of its own, and the streams that talk to it.
//!
//! ```text
//!  WatchSession ──commands──► Link ──► ┌────────────────┐ ◄── revision moved ── thread `apply`
//!  (rim)        ◄─deliveries─ Link ◄── │ thread `watch` │
//!                                      │ watch::Hub     │ ──► thread `watch-history`
//!                                      └────────────────┘ ◄── stretches of old history
//! ```
//!
//! The writer of the store only says that the revision has moved; the hub fetches what is new from the recent
//! rows. So however many watches there are, and however slow their readers, writes don't wait for them.

mod inbox;
mod link;
mod pace;
pub(crate) mod session;
mod thread;
pub(crate) mod threads;
pub(crate) mod watches;
pub(crate) mod watching;
