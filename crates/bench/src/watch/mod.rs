//! The other half of the generator: clients that watch.
//!
//! Some connections carry many streams each, and each stream some watchers; all are served by one thread, beside
//! the requests of [`crate::load`] or alone. Events are walked and counted as they arrive ([`message`], [`lines`]), and
//! judged by their versions and revisions ([`tally`]): every watcher has to get every event once and in order.

mod connection;
mod gateway;
mod grpc;
mod lines;
mod message;
mod plan;
mod tally;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use self::connection::Connection;
pub(crate) use self::plan::{Plan, Reading, Subject};
pub(crate) use self::tally::Tally;
use crate::Outcome;
use crate::http2::Readiness;
use crate::requests::Protocol;

/// Creating watchers does not take longer.
const CREATE_TIME_MAX: Duration = Duration::from_secs(60);

/// How waiting has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// What was waited for is there.
    Done,
    /// Nothing has arrived for long.
    Quiet,
    /// It still arrives, but time is up.
    Late,
}

/// Clients that watch. Dropping them closes their connections.
pub(crate) struct Watchers {
    connections: Vec<Connection>,
    readiness: Readiness,
    tally: Tally,
    n_watchers: usize,
}

impl Watchers {
    /// Connects and sends the requests for the watchers, which [`Self::await_created`] waits for.
    pub(crate) fn open(address: SocketAddr, plan: &Plan) -> Outcome<Self> {
        Self::open_as(None, address, plan)
    }

    /// Does so as the user of a token.
    pub(crate) fn open_as(token: Option<&str>, address: SocketAddr, plan: &Plan) -> Outcome<Self> {
        let n_watchers = plan.streams * plan.watches;
        // Both versions and what happens in an empty store count from 1.
        let first = plan.start_revision.max(1);
        let n_connections = match plan.protocol {
            Protocol::Grpc => plan.connections.min(plan.streams),
            Protocol::Http1 => plan.streams,
        };
        let mut watchers = Self {
            connections: Vec::with_capacity(n_connections),
            readiness: Readiness::new()?,
            tally: Tally::new(plan.subject, n_watchers, first),
            n_watchers,
        };
        for number in 0..n_connections {
            let begin = |number| plan.streams * number / n_connections;
            let connection = Connection::open(address, token, plan, begin(number)..begin(number + 1))?;
            watchers.readiness.add(&connection)?;
            watchers.connections.push(connection);
        }
        for number in 0..n_connections {
            watchers.flush(number)?;
        }
        Ok(watchers)
    }

    /// Waits until the server has confirmed every watcher.
    pub(crate) fn await_created(&mut self) -> Outcome<()> {
        let n_watchers = self.n_watchers;
        match self.until(CREATE_TIME_MAX, CREATE_TIME_MAX, |tally| tally.n_created() == n_watchers)? {
            Waited::Done => Ok(()),
            _ => Err(format!("{} of {n_watchers} watchers were created", self.tally.n_created()).into()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.n_watchers
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Bytes that have arrived, everything included.
    pub(crate) fn received(&self) -> u64 {
        self.connections.iter().map(Connection::received).sum()
    }

    /// Takes in what arrives until `is_done`, for at most `time`, and not much longer than `quiet` after the last
    /// event.
    pub(crate) fn until(
        &mut self,
        time: Duration,
        quiet: Duration,
        is_done: impl Fn(&Tally) -> bool,
    ) -> Outcome<Waited> {
        let end = Instant::now() + time;
        let mut last_event = (self.tally.n_events(), Instant::now());
        loop {
            if is_done(&self.tally) {
                return Ok(Waited::Done);
            }
            let now = Instant::now();
            if self.tally.n_events() != last_event.0 {
                last_event = (self.tally.n_events(), now);
            }
            if now >= end {
                return Ok(Waited::Late);
            }
            if now - last_event.1 >= quiet {
                return Ok(Waited::Quiet);
            }
            let n_ready = self.readiness.wait(Some(end.min(last_event.1 + quiet)))?;
            self.take(n_ready)?;
        }
    }

    /// Takes in what has arrived, without waiting.
    pub(crate) fn turn(&mut self) -> Outcome<()> {
        let n_ready = self.readiness.poll()?;
        self.take(n_ready)
    }

    fn take(&mut self, n_ready: usize) -> Outcome<()> {
        for at in 0..n_ready {
            let ready = self.readiness.ready(at);
            if ready.readable {
                self.connections[ready.number].receive(&mut self.tally)?;
            }
            self.flush(ready.number)?;
        }
        Ok(())
    }

    fn flush(&mut self, number: usize) -> Outcome<()> {
        let connection = &mut self.connections[number];
        connection.flush()?;
        self.readiness.set_clogged(number, &*connection, connection.is_clogged())
    }
}

impl AsFd for Watchers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.readiness.as_fd()
    }
}
