//! The load generator: one thread, one epoll set, a handful of connections.
//!
//! It shares the machine with the server it measures, so it is made to cost little: requests are copied from a
//! template, everything for a connection goes out in one write, and answers are counted rather than decoded.

mod connection;
mod frame;
mod source;
mod tally;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};

use self::connection::Connection;
use self::source::Source;
use self::tally::Tally;
use super::Outcome;
use super::workload::Requests;

/// After sending has stopped, answers are awaited this long.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(60);
/// The window begins after this long even if some clients have no answer yet.
const WARM_UP_MAX: Duration = Duration::from_secs(10);

/// How much load, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Requests outstanding at a time.
    pub(super) clients: usize,
    /// TCP connections, at most one per client.
    pub(super) connections: usize,
    pub(super) pace: Pace,
    pub(super) span: Span,
}

/// When the next request is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// As soon as a client has its answer.
    Closed,
    /// On a schedule of so many per second, whether or not answers arrive. When all clients wait, a request goes
    /// out late; its latency counts from the scheduled time all the same.
    Open(f64),
}

/// When it ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Span {
    /// After so many requests.
    Requests(u64),
    /// After both times; only the second is measured. Warming up takes longer when answers do.
    Time { warm_up: Duration, window: Duration },
}

/// What the generator saw.
#[derive(Debug)]
pub(super) struct Seen {
    /// Nanoseconds, of the requests whose start lies in the window.
    pub(super) latencies: Histogram<u64>,
    /// From the first mark to the second.
    pub(super) window: Duration,
    /// Right answers within the window.
    pub(super) answered_in_window: u64,
    /// Right answers from the window's beginning until the last one.
    pub(super) answered_since_window: u64,
    /// Right answers in all.
    pub(super) answered: u64,
    /// Wrong or short answers, and requests without any.
    pub(super) failed: u64,
    /// The shortest and the longest time that a wrong answer took. Of requests that time out it is the time-out.
    pub(super) failed_after: Option<(Duration, Duration)>,
    /// Requests that the schedule had for the window and no client was free for, even long after it.
    pub(super) unsent: u64,
}

impl Seen {
    /// What went wrong, if anything did.
    pub(super) fn failure(&self) -> Option<String> {
        if self.failed + self.unsent == 0 {
            return None;
        }
        let mut text = format!("{} requests were answered and {} failed", self.answered, self.failed);
        if let Some((shortest, longest)) = self.failed_after {
            let _ = write!(text, " after {:.3} to {:.3} s", shortest.as_secs_f64(), longest.as_secs_f64());
        }
        if self.unsent > 0 {
            let _ = write!(text, "; {} could not be sent in time", self.unsent);
        }
        Some(text)
    }
}

/// The two ends of the window, told to the caller so that it can look at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Begin,
    End,
}

impl Load {
    /// Puts the load on the server at `address` and calls `on_mark` at both ends of the window.
    pub(super) fn run(
        self,
        address: SocketAddr,
        requests: &mut Requests,
        on_mark: impl FnMut(Mark) -> Outcome<()>,
    ) -> Outcome<Seen> {
        // Timers of the schedule fire when they are due, not up to 50 µs later.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let n_connections = self.connections.min(self.clients);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(n_connections);
        for number in 0..n_connections {
            let share = self.clients / n_connections + usize::from(number < self.clients % n_connections);
            let connection = Connection::open(address, requests, share)?;
            epoll::add(&epoll, &connection, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
            connections.push(connection);
        }
        let run = Run {
            clogged: vec![false; n_connections],
            connections,
            epoll,
            events: Vec::with_capacity(n_connections),
            source: Source::new(self, requests, Instant::now()),
            tally: Tally::new(),
            n_clients: self.clients as u64,
            turn: 0,
        };
        run.until_done(self.span, on_mark)
    }
}

struct Run<'a> {
    connections: Vec<Connection>,
    /// For which connections epoll waits until they can be written.
    clogged: Vec<bool>,
    epoll: rustix::fd::OwnedFd,
    events: Vec<epoll::Event>,
    source: Source<'a>,
    tally: Tally,
    n_clients: u64,
    /// The connection that gets the next scheduled request.
    turn: usize,
}

impl Run<'_> {
    fn until_done(mut self, span: Span, mut on_mark: impl FnMut(Mark) -> Outcome<()>) -> Outcome<Seen> {
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

        self.until(window_begin.checked_add(window))?;
        let window_end = Instant::now();
        self.tally.close_window(window_end);
        on_mark(Mark::End)?;

        self.source.stop(window_end);
        self.until(Some(window_end + DRAIN_TIME_MAX))?;
        let unsent = self.source.give_up(Instant::now(), &mut self.tally);
        let unanswered: usize = self.connections.iter().map(Connection::n_open).sum();
        let tally = self.tally;
        Ok(Seen {
            window: window_end - window_begin,
            answered_in_window: tally.in_window,
            answered_since_window: tally.answered - tally.before_window,
            answered: tally.answered,
            failed: tally.failed + unanswered as u64,
            failed_after: tally.failed_after,
            unsent,
            latencies: tally.latencies,
        })
    }

    /// Has the first wave of answers passed? All clients begin at once, so nothing is answered evenly before.
    fn is_warm(&self) -> bool {
        self.tally.answered + self.tally.failed >= self.n_clients
    }

    /// Runs until `end`, or until the source is dry and everything is answered.
    fn until(&mut self, end: Option<Instant>) -> Outcome<()> {
        loop {
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                return Ok(());
            }
            let room_left = self.send_in_turn(now)?;
            if self.source.is_dry() && self.n_open() == 0 {
                return Ok(());
            }
            let next_due = self.source.next_due().filter(|_| room_left);
            self.step([end, next_due].into_iter().flatten().min())?;
        }
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
                connection.send(self.source.requests.next(), start);
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

    /// Waits for answers until `end`, takes them in, and sends the requests that they make room for.
    fn step(&mut self, end: Option<Instant>) -> Outcome<()> {
        let timeout = end.map(|end| {
            let left = end.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
        });
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for at in 0..self.events.len() {
            let event = self.events[at];
            let number = event.data.u64() as usize;
            if event.flags.difference(epoll::EventFlags::OUT).is_empty() {
                self.flush(number)?;
                continue;
            }
            let connection = &mut self.connections[number];
            let mut now = None;
            connection.receive(|answer| {
                now = Some(answer.end);
                self.tally.count(answer);
            })?;
            let now = now.unwrap_or_else(Instant::now);
            while connection.has_room()
                && let Some(start) = self.source.take(now)
            {
                connection.send(self.source.requests.next(), start);
            }
            self.flush(number)?;
        }
        Ok(())
    }

    /// Writes a connection's requests; what the socket does not take waits until it does.
    fn flush(&mut self, number: usize) -> Outcome<()> {
        let connection = &mut self.connections[number];
        if !connection.is_clogged() {
            return Ok(());
        }
        connection.flush()?;
        if connection.is_clogged() != self.clogged[number] {
            self.clogged[number] = connection.is_clogged();
            let mut interest = epoll::EventFlags::IN;
            interest.set(epoll::EventFlags::OUT, self.clogged[number]);
            epoll::modify(&self.epoll, &*connection, epoll::EventData::new_u64(number as u64), interest)?;
        }
        Ok(())
    }
}
