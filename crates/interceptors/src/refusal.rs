//! The refusal of a call.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::Status;

/// The status of a refused call, as a future: a refusal may have consequences that come before the answer.
pub struct Refusal(Pin<Box<dyn Future<Output = Status> + Send>>);

impl Refusal {
    /// A refusal with the status that comes out of `work`.
    pub fn after(work: impl Future<Output = Status> + Send + 'static) -> Refusal {
        Refusal(Box::pin(work))
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Refusal {
        Refusal::after(std::future::ready(status))
    }
}

impl Future for Refusal {
    type Output = Status;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Status> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Refusal").finish_non_exhaustive()
    }
}
