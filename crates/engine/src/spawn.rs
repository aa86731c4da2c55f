//! Threads with names.

use std::thread::{Builder, JoinHandle};

pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    Builder::new().name(name.to_owned()).spawn(work).expect("the system can start a thread")
}
