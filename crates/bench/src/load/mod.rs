//! The load generator: one thread and a handful of connections.
//!
//! It shares the machine with the server it measures, so it is made to cost little: requests are copied from a
//! template, everything for a connection goes out in one write, and responses are counted rather than decoded.

mod connection;
mod grpc;
mod http1;
mod source;
mod streams;
mod tally;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use self::connection::Connection;
use self::source::Source;
use self::tally::Tally;
use crate::Outcome;
use crate::http2::Readiness;
use crate::requests::{Protocol, Requests};
use crate::watch::Watchers;

/// After sending has stopped, responses are awaited this long.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(60);
/// How often the end of a window is checked for an early stop.
const LOOK_TIME: Duration = Duration::from_millis(10);
/// The window begins after this long even if some clients have no response yet.
const WARM_UP_MAX: Duration = Duration::from_secs(10);

/// How much load, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Requests outstanding at a time.
    pub(crate) clients: usize,
    /// TCP connections, at most one per client; with HTTP/1.1 each client has one.
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    pub(crate) span: Span,
}

/// When the next request is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As soon as a client has its response.
    Closed,
    /// On a schedule of so many per second, whether or not responses arrive. When all clients wait, a request goes
    /// out late; its latency counts from the scheduled time all the same.
    Open(f64),
}

/// When it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Span {
    /// After so many requests.
    Requests(u64),
    /// After both times; only the second is measured. Warming up takes longer when responses do.
    Time { warm_up: Duration, window: Duration },
}

/// What the generator saw.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Nanoseconds, of the requests whose start lies in the window.
    pub(crate) latencies: Histogram<u64>,
    /// From the first mark to the second.
    pub(crate) window: Duration,
    /// Right responses within the window.
    pub(crate) responses_in_window: u64,
    /// Right responses from the window's beginning until the last one.
    pub(crate) responses_since_window: u64,
    /// Right responses in all.
    pub(crate) responses: u64,
    /// Wrong or short responses, and requests without any.
    pub(crate) failed: u64,
    /// The latter alone.
    pub(crate) open: u64,
    /// The shortest and the longest time that a wrong response took. Of requests that time out it is the time-out.
    pub(crate) failed_after: Option<(Duration, Duration)>,
    /// Requests that the schedule had for the window and no client was free for, even long after it.
    pub(crate) unsent: u64,
}

impl Seen {
    /// What went wrong, if anything did.
    pub(crate) fn failure(&self) -> Option<String> {
        if self.failed + self.unsent == 0 {
            return None;
        }
        let mut text = format!("{} requests were answered and {} failed", self.responses, self.failed);
        if let Some((shortest, longest)) = self.failed_after {
            let _ = write!(text, " after {:.3} to {:.3} s", shortest.as_secs_f64(), longest.as_secs_f64());
        }
        if self.unsent > 0 {
            let _ = write!(text, "; {} could not be sent in time", self.unsent);
        }
        Some(text)
    }
}

/// The two ends of the window, reported to the caller so that it can look at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Begin,
    End,
}

impl Load {
    /// Puts the load on the server at `address` and calls `on_mark` at both ends of the window.
    pub(crate) fn run(
        self,
        address: SocketAddr,
        requests: &mut Requests,
        on_mark: impl FnMut(Mark) -> Outcome<()>,
    ) -> Outcome<Seen> {
        self.run_beside(None, address, requests, on_mark)
    }

    /// Does so until `is_over` says so, which ends the window early.
    pub(crate) fn run_until(
        self,
        is_over: &dyn Fn() -> bool,
        address: SocketAddr,
        requests: &mut Requests,
        on_mark: impl FnMut(Mark) -> Outcome<()>,
    ) -> Outcome<Seen> {
        self.run_with(None, is_over, address, requests, on_mark)
    }

    /// Does so while clients watch, and marks the window in their tally. Events that are under way at the last
    /// response are left to the caller.
    pub(crate) fn run_beside(
        self,
        watchers: Option<&mut Watchers>,
        address: SocketAddr,
        requests: &mut Requests,
        on_mark: impl FnMut(Mark) -> Outcome<()>,
    ) -> Outcome<Seen> {
        self.run_with(watchers, &|| false, address, requests, on_mark)
    }

    fn run_with(
        self,
        watchers: Option<&mut Watchers>,
        is_over: &dyn Fn() -> bool,
        address: SocketAddr,
        requests: &mut Requests,
        on_mark: impl FnMut(Mark) -> Outcome<()>,
    ) -> Outcome<Seen> {
        // Timers of the schedule fire when they are due, not up to 50 µs later.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let n_connections = match requests.protocol() {
            Protocol::Grpc => self.connections.min(self.clients),
            Protocol::Http1 => self.clients,
        };
        let mut readiness = Readiness::new()?;
        let mut connections = Vec::with_capacity(n_connections);
        for number in 0..n_connections {
            let begin = |number| self.clients * number / n_connections;
            let connection = Connection::open(address, requests, begin(number)..begin(number + 1))?;
            readiness.add(&connection)?;
            connections.push(connection);
        }
        if let Some(watchers) = &watchers {
            readiness.add(&**watchers)?;
        }
        let run = Run {
            connections,
            readiness,
            watchers,
            source: Source::new(self, requests, Instant::now()),
            tally: Tally::new(),
            n_clients: self.clients as u64,
            turn: 0,
        };
        run.until_done(self.span, is_over, on_mark)
    }
}

struct Run<'a> {
    connections: Vec<Connection>,
    /// By number the connections, then the watchers.
    readiness: Readiness,
    watchers: Option<&'a mut Watchers>,
    source: Source<'a>,
    tally: Tally,
    n_clients: u64,
    /// The connection that gets the next scheduled request.
    turn: usize,
}

impl Run<'_> {
    fn until_done(
        mut self,
        span: Span,
        is_over: &dyn Fn() -> bool,
        mut on_mark: impl FnMut(Mark) -> Outcome<()>,
    ) -> Outcome<Seen> {
        let begin = Instant::now();
        let (warm_up, window) = match span {
            Span::Requests(_) => (Duration::ZERO, Duration::MAX),
            Span::Time { warm_up, window } => (warm_up, window),
        };
        self.until(begin.checked_add(warm_up))?;
        while warm_up > Duration::ZERO && !self.is_warm() && begin.elapsed() < WARM_UP_MAX {
            self.until(Some(Instant::now() + warm_up))?;
        }
        on_mark(Mark::Begin)?;
        let window_begin = Instant::now();
        self.tally.open_window(window_begin);
        if let Some(watchers) = &mut self.watchers {
            watchers.tally_mut().open_window(window_begin);
        }

        let longest = window_begin.checked_add(window);
        while !is_over() && longest.is_none_or(|end| Instant::now() < end) && !self.is_done() {
            let next_look = window_begin.elapsed() + LOOK_TIME;
            self.until([longest, window_begin.checked_add(next_look)].into_iter().flatten().min())?;
        }
        let window_end = Instant::now();
        self.tally.close_window(window_end);
        if let Some(watchers) = &mut self.watchers {
            watchers.tally_mut().close_window(window_end);
        }
        on_mark(Mark::End)?;

        self.source.stop(window_end);
        self.until(Some(window_end + DRAIN_TIME_MAX))?;
        let unsent = self.source.give_up(Instant::now(), &mut self.tally);
        let open = self.n_open() as u64;
        let tally = self.tally;
        Ok(Seen {
            window: window_end - window_begin,
            responses_in_window: tally.in_window,
            responses_since_window: tally.responses - tally.before_window,
            responses: tally.responses,
            failed: tally.failed + open,
            open,
            failed_after: tally.failed_after,
            unsent,
            latencies: tally.latencies,
        })
    }

    /// Has the first wave of responses passed? All clients begin at once, so responses come unevenly before.
    fn is_warm(&self) -> bool {
        self.tally.responses + self.tally.failed >= self.n_clients
    }

    /// Runs until `end`, or until the source is dry and every request has its response.
    fn until(&mut self, end: Option<Instant>) -> Outcome<()> {
        loop {
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                return Ok(());
            }
            let room_left = self.send_in_turn(now)?;
            if self.is_done() {
                return Ok(());
            }
            let next_due = self.source.next_due().filter(|_| room_left);
            self.step([end, next_due].into_iter().flatten().min())?;
        }
    }

    /// Is the source dry, and has every request its response?
    fn is_done(&self) -> bool {
        self.source.is_dry() && self.n_open() == 0
    }

    fn n_open(&self) -> usize {
        self.connections.iter().map(Connection::n_open).sum()
    }

    /// Sends what is due, one request per connection in turn. True when connections have room for more.
    fn send_in_turn(&mut self, now: Instant) -> Outcome<bool> {
        let n_connections = self.connections.len();
        let mut n_full = 0;
        while n_full < n_connections {
            let connection = &mut self.connections[self.turn];
            if connection.has_room() {
                let Some(start) = self.source.take(now) else { break };
                connection.send(self.source.requests, start);
                n_full = 0;
            } else {
                n_full += 1;
            }
            self.turn = (self.turn + 1) % n_connections;
        }
        for number in 0..n_connections {
            self.flush(number)?;
        }
        Ok(n_full < n_connections)
    }

    /// Waits for responses until `end`, takes them in, and sends the requests that they make room for.
    fn step(&mut self, end: Option<Instant>) -> Outcome<()> {
        for at in 0..self.readiness.wait(end)? {
            let ready = self.readiness.ready(at);
            let Some(connection) = self.connections.get_mut(ready.number) else {
                self.watchers.as_deref_mut().map_or(Ok(()), Watchers::turn)?;
                continue;
            };
            if ready.readable {
                let mut now = None;
                connection.receive(|response| {
                    now = Some(response.end);
                    self.tally.count(response);
                })?;
                let now = now.unwrap_or_else(Instant::now);
                while connection.has_room()
                    && let Some(start) = self.source.take(now)
                {
                    connection.send(self.source.requests, start);
                }
            }
            self.flush(ready.number)?;
        }
        Ok(())
    }

    /// Writes a connection's requests; what the socket does not take waits until it does.
    fn flush(&mut self, number: usize) -> Outcome<()> {
        let connection = &mut self.connections[number];
        connection.flush()?;
        self.readiness.set_clogged(number, &*connection, connection.is_clogged())
    }
}
