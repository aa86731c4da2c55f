//! Clients that request large lists, again and again, each on a connection of its own.
//!
//! They run beside the requests of [`crate::load`] or alone, in one thread. They are made to cost little: what arrives
//! is counted and dropped. A list is right when its messages are complete, long enough and followed by the status of
//! success. A list that the server refuses because it is busy is counted apart, and requested again after a moment.

mod answer;
mod client;
mod tally;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use self::client::Client;
pub(crate) use self::tally::Tally;
use crate::Outcome;
use crate::http2::Readiness;
use crate::requests::Requests;

/// How often the end is looked for.
const LOOK_TIME: Duration = Duration::from_millis(10);

/// What the clients do with their responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The server never has to wait for them.
    Always,
    /// Each list takes 64 KiB, the protocol's initial window, and gives nothing back.
    FirstWindow,
    /// Windows are as wide as can be, but the sockets are never read.
    Never,
}

/// Clients that list. Dropping them closes their connections.
#[derive(Debug)]
pub(crate) struct Readers {
    clients: Vec<Client>,
    reading: Reading,
    message: Vec<u8>,
}

impl Readers {
    /// Connects so many clients, which request nothing yet.
    pub(crate) fn open(
        address: SocketAddr,
        n_clients: usize,
        mut list: Requests,
        reading: Reading,
    ) -> Outcome<Self> {
        let open = |_| Client::open(address, list.path(), list.response_bytes_min(), reading);
        let clients = (0..n_clients).map(open).collect::<Outcome<_>>()?;
        Ok(Self { clients, reading, message: list.next(Instant::now()).to_vec() })
    }

    /// Lists until `is_over` says so; lists that are under way then are given up.
    pub(crate) fn run(mut self, is_over: impl Fn(&Tally) -> bool) -> Outcome<Tally> {
        let mut tally = Tally::new();
        let mut readiness = Readiness::new()?;
        if self.reading != Reading::Never {
            self.clients.iter().try_for_each(|client| readiness.add(client))?;
        }
        let begin = Instant::now();
        while !is_over(&tally) {
            let now = Instant::now();
            for (number, client) in self.clients.iter_mut().enumerate() {
                client.proceed(&self.message, now, &mut tally);
                if self.reading != Reading::Never && !client.is_gone() {
                    readiness.set_clogged(number, &*client, client.is_clogged())?;
                }
            }
            for at in 0..readiness.wait(Some(now + LOOK_TIME))? {
                let client = &mut self.clients[readiness.ready(at).number];
                client.receive(&mut tally);
                if client.is_gone() {
                    readiness.remove(&*client)?;
                }
            }
        }
        tally.time = begin.elapsed();
        Ok(tally)
    }
}
