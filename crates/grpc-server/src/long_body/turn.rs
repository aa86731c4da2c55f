//! Responses that take turns, so that requests of other kinds come between their pieces.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Times that a response lets others run before a piece, at most.
const TURNS_MAX: usize = 32;

/// How many responses wait for their turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<AtomicUsize>);

/// The turn of a response. Before each piece but the first it lets the other tasks of its thread run, the more often the
/// more responses wait: so there are few pieces between two tasks of other requests, even if dozens of clients list.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    stage: TurnStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TurnStage {
    /// It has not asked for its next turn.
    Idle,
    /// So many others come first.
    Waiting(usize),
    /// The next piece is being read.
    Running,
}

impl Turn {
    pub(super) fn new(turns: Turns) -> Self {
        Self { turns, stage: TurnStage::Idle }
    }

    /// Ready when it is this response's turn, until [`Self::end`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = match self.stage {
            TurnStage::Running => return Poll::Ready(()),
            TurnStage::Waiting(left) => left,
            TurnStage::Idle => (self.turns.0.fetch_add(1, Ordering::Relaxed) / 2).min(TURNS_MAX),
        };
        match left.checked_sub(1) {
            Some(left) => {
                self.stage = TurnStage::Waiting(left);
                // The runtime runs a task that wakes itself behind all others.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => {
                self.turns.0.fetch_sub(1, Ordering::Relaxed);
                self.stage = TurnStage::Running;
                Poll::Ready(())
            }
        }
    }

    pub(super) fn end(&mut self) {
        self.stage = TurnStage::Idle;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let TurnStage::Waiting(_) = self.stage {
            self.turns.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
