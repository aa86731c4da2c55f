//! What scenarios can't express about the Watch service: large responses, slow and stuck readers, the end of the
//! server, whole histories, metrics, and load.

mod calls;
mod histories;
mod load;
mod metrics;
mod server;
