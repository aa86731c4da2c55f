//! What watches may deliver, checked over recorded histories.
//!
//! A [`Record`] is the truth: every change, as the only writer of a store knows it. A [`History`] is what one watch
//! received, over all of its calls: after a lost call the client creates the watch again, from the revision behind
//! the last one that it knows. [`check`] compares the two and names the first promise that was broken:
//!
//! | promise | broken by |
//! |---|---|
//! | ordered, unique | [`Violation::Repeated`], [`Violation::Disorder`] |
//! | reliable, also across calls | [`Violation::Missing`], [`Violation::Invented`] |
//! | atomic | [`Violation::Torn`] |
//! | bookmarkable: progress with a revision comes behind all events up to it | [`Violation::Bookmark`] |
//! | rows before the change | [`Violation::Previous`] |
//! | headers not behind their events, the same in all fragments | [`Violation::Header`] |
//! | ended only by a compaction, and only if that took what comes next | [`Violation::Ended`] |

mod check;
mod history;
mod record;
#[cfg(test)]
mod tests;

pub use self::check::{Violation, check};
pub use self::history::{Event, History, Seen, WatchRequest, is_within};
pub use self::record::{Operation, Record};
