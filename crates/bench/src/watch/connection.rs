//! One connection of clients that watch, in the protocol of the plan.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use super::gateway::GatewayConnection;
use super::grpc::GrpcConnection;
use super::plan::Plan;
use super::tally::Tally;
use crate::Outcome;
use crate::requests::Protocol;

#[derive(Debug)]
pub(super) enum Connection {
    Grpc(GrpcConnection),
    Gateway(GatewayConnection),
}

impl Connection {
    /// Connects, for the watchers of these streams out of all of the plan's.
    pub(super) fn open(
        address: SocketAddr,
        token: Option<&str>,
        plan: &Plan,
        streams: Range<usize>,
    ) -> Outcome<Self> {
        match plan.protocol {
            Protocol::Grpc => GrpcConnection::open(address, token, plan, streams).map(Connection::Grpc),
            Protocol::Http1 => GatewayConnection::open(address, plan, streams.start).map(Connection::Gateway),
        }
    }

    /// Bytes that have arrived.
    pub(super) fn received(&self) -> u64 {
        match self {
            Connection::Grpc(connection) => connection.received(),
            Connection::Gateway(connection) => connection.received(),
        }
    }

    /// Writes as much of the requests as the server and the socket take.
    pub(super) fn flush(&mut self) -> Outcome<()> {
        match self {
            Connection::Grpc(connection) => connection.flush(),
            Connection::Gateway(connection) => connection.flush(),
        }
    }

    /// Are there bytes that the socket did not take?
    pub(super) fn is_clogged(&self) -> bool {
        match self {
            Connection::Grpc(connection) => connection.is_clogged(),
            Connection::Gateway(connection) => connection.is_clogged(),
        }
    }

    /// Reads once and counts what it says.
    pub(super) fn receive(&mut self, tally: &mut Tally) -> Outcome<()> {
        match self {
            Connection::Grpc(connection) => connection.receive(tally),
            Connection::Gateway(connection) => connection.receive(tally),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Connection::Grpc(connection) => connection.as_fd(),
            Connection::Gateway(connection) => connection.as_fd(),
        }
    }
}
