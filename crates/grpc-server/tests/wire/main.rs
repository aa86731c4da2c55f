//! The port as clients see it that are not gRPC libraries: frames, windows, half-closed streams, plain HTTP.

mod calls;
mod drain;
mod encrypted;
mod keep_alive;
mod plain;
mod slow;
mod snapshot;
mod support;
mod watch;
mod watch_stream;
