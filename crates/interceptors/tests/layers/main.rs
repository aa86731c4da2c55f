//! The layers around hand-made services, as a server would put them there.

mod audit;
mod log;
mod metrics;
mod quota;
mod stack;
mod support;
