//! The port as clients see it that are not gRPC libraries: frames, windows, half-closed streams, plain HTTP.

mod authority;
mod calls;
mod drain;
mod encrypted;
mod frames;
mod keep_alive;
mod limits;
mod long;
mod plain;
mod slow;
mod snapshot;
mod support;
mod unread;
mod watch;
mod watch_stream;
