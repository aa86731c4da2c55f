//! One connection of the load generator, in the protocol of its requests.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::grpc::GrpcConnection;
use super::http1::Http1Connection;
use super::tally::Response;
use crate::Outcome;
use crate::requests::{Protocol, Requests};

#[derive(Debug)]
pub(super) enum Connection {
    Grpc(GrpcConnection),
    Http1(Http1Connection),
}

impl Connection {
    /// Connects. The clients with these numbers share the connection: at most as many requests will be outstanding at
    /// a time, or fewer if the server or the protocol do not allow as many.
    pub(super) fn open(address: SocketAddr, requests: &Requests, clients: Range<usize>) -> Outcome<Self> {
        match requests.protocol() {
            Protocol::Grpc => GrpcConnection::open(address, requests, clients).map(Connection::Grpc),
            Protocol::Http1 => Http1Connection::open(address, requests).map(Connection::Http1),
        }
    }

    /// May [`Self::send`] be called?
    pub(super) fn has_room(&self) -> bool {
        match self {
            Connection::Grpc(connection) => connection.has_room(),
            Connection::Http1(connection) => connection.has_room(),
        }
    }

    pub(super) fn n_open(&self) -> usize {
        match self {
            Connection::Grpc(connection) => connection.n_open(),
            Connection::Http1(connection) => usize::from(!connection.has_room()),
        }
    }

    /// Are there bytes that the socket did not take?
    pub(super) fn is_clogged(&self) -> bool {
        match self {
            Connection::Grpc(connection) => connection.is_clogged(),
            Connection::Http1(connection) => connection.is_clogged(),
        }
    }

    /// Appends the next request to what the next [`Self::flush`] writes. Its latency counts from `start`.
    pub(super) fn send(&mut self, requests: &mut Requests, start: Instant) {
        match self {
            Connection::Grpc(connection) => connection.send(requests, start),
            Connection::Http1(connection) => connection.send(requests, start),
        }
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush(&mut self) -> Outcome<()> {
        match self {
            Connection::Grpc(connection) => connection.flush(),
            Connection::Http1(connection) => connection.flush(),
        }
    }

    /// Reads once and reports each request that has its response.
    pub(super) fn receive(&mut self, report: impl FnMut(Response)) -> Outcome<()> {
        match self {
            Connection::Grpc(connection) => connection.receive(report),
            Connection::Http1(connection) => connection.receive(report),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Connection::Grpc(connection) => connection.as_fd(),
            Connection::Http1(connection) => connection.as_fd(),
        }
    }
}
