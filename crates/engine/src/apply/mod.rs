//! The apply thread: the only writer of the state machine.

pub(crate) mod apply_loop;
pub(crate) mod fence;
pub(crate) mod inbox;
mod scrubber;
