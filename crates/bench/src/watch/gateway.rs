//! One connection of HTTP/1.1 with one watcher behind the JSON gateway.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use data_encoding::BASE64;

use super::lines::{Lines, Spoken};
use super::plan::Plan;
use super::tally::Tally;
use crate::Outcome;
use crate::http1::{Part, Wire};
use crate::requests::http1_request;
use crate::stamp;

const OK: u16 = 200;

#[derive(Debug)]
pub(super) struct GatewayConnection {
    wire: Wire,
    watcher: usize,
    lines: Lines,
    /// Bytes that have arrived.
    received: u64,
}

impl GatewayConnection {
    /// Connects, and appends the request to what the next [`Self::flush`] writes.
    pub(super) fn open(address: SocketAddr, plan: &Plan, watcher: usize) -> Outcome<Self> {
        let (key, range_end) = plan.subject.range(watcher);
        let body = format!(
            r#"{{"create_request":{{"key":"{}","range_end":"{}","start_revision":{}}}}}"#,
            BASE64.encode(key.as_bytes()),
            BASE64.encode(range_end.as_bytes()),
            plan.start_revision,
        );
        let mut wire = Wire::open(address)?;
        wire.send(&http1_request("POST", "/v3/watch", &body));
        Ok(Self { wire, watcher, lines: Lines::default(), received: 0 })
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn flush(&mut self) -> Outcome<()> {
        self.wire.flush()
    }

    pub(super) fn is_clogged(&self) -> bool {
        self.wire.is_clogged()
    }

    pub(super) fn receive(&mut self, tally: &mut Tally) -> Outcome<()> {
        let Self { wire, watcher, lines, .. } = self;
        let n_read = wire.receive(|part, now| match part {
            Part::Head(OK) => Ok(()),
            Part::Head(status) => Err(format!("a watch was answered with status {status}").into()),
            Part::Data(data) => {
                let now = stamp::nanos(now);
                lines.feed(data, |spoken| match spoken {
                    Spoken::Event(event) => tally.event(*watcher, &event, now),
                    Spoken::Created => tally.created(),
                })
            }
            Part::End => Err("the server has ended a watch".into()),
        })?;
        self.received += n_read as u64;
        Ok(())
    }
}

impl AsFd for GatewayConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }
}
