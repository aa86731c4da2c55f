//! The rejection of a call.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::Status;

/// The status of a rejected call, as a future: a rejection may have consequences that come before the response.
pub struct Rejection(Pin<Box<dyn Future<Output = Status> + Send>>);

impl Rejection {
    /// A rejection with the status that comes out of `work`.
    pub fn after(work: impl Future<Output = Status> + Send + 'static) -> Rejection {
        Rejection(Box::pin(work))
    }
}

impl From<Status> for Rejection {
    fn from(status: Status) -> Rejection {
        Rejection::after(std::future::ready(status))
    }
}

impl Future for Rejection {
    type Output = Status;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Status> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rejection").finish_non_exhaustive()
    }
}
