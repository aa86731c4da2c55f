//! Which connections can be read, or written again: one epoll set.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use crate::Outcome;

/// An epoll set whose members have numbers.
pub(crate) struct Readiness {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    /// By number: for which members it waits until they can be written.
    clogged: Vec<bool>,
}

/// A member that has something to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) number: usize,
    /// It can be read, or has failed, which the next read shows.
    pub(crate) readable: bool,
}

impl Readiness {
    pub(crate) fn new() -> Outcome<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // The kernel takes no list without room, not even when there is nothing to list.
        Ok(Self { epoll, events: Vec::with_capacity(1), clogged: Vec::new() })
    }

    /// Adds a member with the next number, counted from 0.
    pub(crate) fn add(&mut self, member: impl AsFd) -> Outcome<()> {
        let number = epoll::EventData::new_u64(self.clogged.len() as u64);
        epoll::add(&self.epoll, member, number, epoll::EventFlags::IN)?;
        self.clogged.push(false);
        self.events.reserve(self.clogged.len());
        Ok(())
    }

    /// Removes a member; the numbers of the others stay as they are.
    pub(crate) fn remove(&self, member: impl AsFd) -> Outcome<()> {
        Ok(epoll::delete(&self.epoll, member)?)
    }

    /// Waits for any member until `end`, or for ever; the number of [`Self::ready`] ones.
    pub(crate) fn wait(&mut self, end: Option<Instant>) -> Outcome<usize> {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        self.wait_for(left)
    }

    /// Looks without waiting.
    pub(crate) fn poll(&mut self) -> Outcome<usize> {
        self.wait_for(Some(Duration::ZERO))
    }

    fn wait_for(&mut self, time: Option<Duration>) -> Outcome<usize> {
        let timeout =
            time.map(|time| Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() });
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(self.events.len()),
            Err(error) => Err(error.into()),
        }
    }

    /// One of those that the last wait found.
    pub(crate) fn ready(&self, at: usize) -> Ready {
        let event = self.events[at];
        let readable = !event.flags.difference(epoll::EventFlags::OUT).is_empty();
        Ready { number: event.data.u64() as usize, readable }
    }

    /// Says whether the member has bytes that its socket did not take.
    pub(crate) fn set_clogged(&mut self, number: usize, member: impl AsFd, clogged: bool) -> Outcome<()> {
        if self.clogged[number] != clogged {
            self.clogged[number] = clogged;
            let mut interest = epoll::EventFlags::IN;
            interest.set(epoll::EventFlags::OUT, clogged);
            epoll::modify(&self.epoll, member, epoll::EventData::new_u64(number as u64), interest)?;
        }
        Ok(())
    }
}

/// A set can be a member of another one.
impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
