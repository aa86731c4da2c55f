//! The port as clients see it that are not gRPC libraries: frames, windows, half-closed streams, plain HTTP.

mod calls;
mod drain;
mod keep_alive;
mod plain;
mod slow;
mod support;
mod watch;
mod watch_stream;
