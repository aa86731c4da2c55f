//! One connection of HTTP/1.1, with one request at a time.
//!
//! Bodies are counted, not read. A response is right when its status is 200 and its body long enough.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::tally::Response;
use crate::Outcome;
use crate::http1::{Part, Wire};
use crate::requests::Requests;

const OK: u16 = 200;

#[derive(Debug)]
pub(super) struct Http1Connection {
    wire: Wire,
    /// When the outstanding request was sent.
    start: Option<Instant>,
    /// Of its response, as far as it has come.
    status: u16,
    received: usize,
    response_bytes_min: usize,
}

impl Http1Connection {
    pub(super) fn open(address: SocketAddr, requests: &Requests) -> Outcome<Self> {
        Ok(Self {
            wire: Wire::open(address)?,
            start: None,
            status: 0,
            received: 0,
            response_bytes_min: requests.response_bytes_min(),
        })
    }

    pub(super) fn has_room(&self) -> bool {
        self.start.is_none()
    }

    pub(super) fn is_clogged(&self) -> bool {
        self.wire.is_clogged()
    }

    pub(super) fn send(&mut self, requests: &mut Requests, start: Instant) {
        debug_assert!(self.has_room());
        self.start = Some(start);
        self.wire.send(requests.next(start));
    }

    pub(super) fn flush(&mut self) -> Outcome<()> {
        self.wire.flush()
    }

    pub(super) fn receive(&mut self, mut report: impl FnMut(Response)) -> Outcome<()> {
        let Self { wire, start, status, received, response_bytes_min } = self;
        wire.receive(|part, end| {
            match part {
                Part::Head(code) => (*status, *received) = (code, 0),
                Part::Data(data) => *received += data.len(),
                Part::End => {
                    let start = start.take().ok_or("the server has answered what it was not asked")?;
                    report(Response { start, end, ok: *status == OK && *received >= *response_bytes_min });
                }
            }
            Ok(())
        })?;
        Ok(())
    }
}

impl AsFd for Http1Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }
}
