//! What scenarios can't say about the Watch service: large responses, readers that are slow or stop, the end of the
//! server, whole histories, metrics, and many of everything.

mod calls;
mod histories;
mod load;
mod metrics;
mod server;
