//! Waiting for changes of users, roles and rights.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::watch;
use tokio::task::unconstrained;

type Changed = Pin<Box<dyn Future<Output = watch::Receiver<u64>> + Send + Sync>>;

/// Tells one task of changes.
pub(crate) struct RightsWatch(Changed);

impl fmt::Debug for RightsWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RightsWatch").finish_non_exhaustive()
    }
}

impl RightsWatch {
    /// Tells of changes from now on.
    pub(crate) fn new(sender: &watch::Sender<u64>) -> Self {
        Self(next(sender.subscribe()))
    }

    /// Ready once after one change or several; the task is woken for that.
    pub(crate) fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let receiver = ready!(self.0.as_mut().poll(cx));
        self.0 = next(receiver);
        Poll::Ready(())
    }
}

fn next(mut receiver: watch::Receiver<u64>) -> Changed {
    Box::pin(async move {
        // Its turn is the stream's. The sender lives as long as its other ends.
        let _ = unconstrained(receiver.changed()).await;
        receiver
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct WakeCount(AtomicUsize);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task that looks at the watch when the test says so.
    struct Task {
        watch: RightsWatch,
        wake_count: Arc<WakeCount>,
    }

    impl Task {
        fn new(sender: &watch::Sender<u64>) -> Self {
            Self { watch: RightsWatch::new(sender), wake_count: Arc::default() }
        }

        fn is_told(&mut self) -> bool {
            let waker = Waker::from(Arc::clone(&self.wake_count));
            self.watch.poll_changed(&mut Context::from_waker(&waker)).is_ready()
        }

        fn wake_ups(&self) -> usize {
            self.wake_count.0.load(Ordering::Relaxed)
        }
    }

    fn change(sender: &watch::Sender<u64>) {
        sender.send_modify(|count| *count += 1);
    }

    #[test]
    fn changes_before_the_watch_are_not_told() {
        let sender = watch::Sender::new(0);
        change(&sender);
        let mut task = Task::new(&sender);
        assert!(!task.is_told());
        change(&sender);
        assert!(task.is_told());
    }

    #[test]
    fn several_changes_are_told_once() {
        let sender = watch::Sender::new(0);
        let mut task = Task::new(&sender);
        // Also those before the first look.
        for _ in 0..3 {
            for _ in 0..3 {
                change(&sender);
            }
            assert!(task.is_told());
            assert!(!task.is_told());
        }
    }

    #[test]
    fn the_task_of_a_pending_look_is_woken() {
        let sender = watch::Sender::new(0);
        let (mut task, mut other) = (Task::new(&sender), Task::new(&sender));
        assert!(!task.is_told() && !other.is_told());
        change(&sender);
        assert_eq!((task.wake_ups(), other.wake_ups()), (1, 1));
        assert!(task.is_told() && other.is_told());
        change(&sender);
        assert_eq!(task.wake_ups(), 1, "it has found a change and is still at work");
        assert!(task.is_told() && !task.is_told());
        change(&sender);
        assert_eq!(task.wake_ups(), 2);
    }

    /// A task that has used up its turn otherwise must not miss that it may not go on.
    #[tokio::test]
    async fn a_change_is_told_at_the_end_of_a_turn() {
        let sender = watch::Sender::new(0);
        let mut task = Task::new(&sender);
        change(&sender);
        while tokio::task::coop::has_budget_remaining() {
            tokio::task::coop::consume_budget().await;
        }
        assert!(task.is_told());
    }
}
