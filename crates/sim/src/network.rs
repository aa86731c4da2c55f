//! The network between the members.

use std::collections::BTreeMap;

use ferretcd_raft_node::Message;
use ferretcd_testkit::Random;

use crate::event_queue::{MS, Micros};

/// The connections between two members, each with an order of its own, as the peer protocol has them: entries,
/// everything else, and snapshots.
const STREAMS: usize = 3;

/// Links between members. A stream keeps the order of its messages, unless the profile says otherwise, and delivers none
/// twice; it may lose some, all that is under way, or everything from some moment on. Streams overtake each other.
#[derive(Debug, Default)]
pub(crate) struct Network {
    links: BTreeMap<(u64, u64), Link>,
    /// Whether messages are lost and late.
    is_faulty: bool,
    /// Whether messages of one stream overtake each other.
    reorders: bool,
}

#[derive(Debug, Default)]
struct Link {
    /// How many partitions cut this direction.
    n_cuts: u32,
    /// When the last message of each stream arrives.
    last: [Micros; STREAMS],
    /// Raised when what is under way is lost.
    epoch: u64,
}

/// A message under way.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) message: Message,
    epoch: u64,
}

impl Parcel {
    fn link(&self) -> (u64, u64) {
        (self.message.from().0, self.message.to().0)
    }
}

impl Network {
    /// One that loses messages, if `is_faulty`, and has them overtake each other, if `reorders`, until
    /// [`Network::heal`].
    pub(crate) fn new(is_faulty: bool, reorders: bool) -> Self {
        Self { is_faulty, reorders, ..Self::default() }
    }

    /// Takes a message; returns it with how long it travels, or nothing if it is lost.
    pub(crate) fn send(
        &mut self,
        now: Micros,
        message: Message,
        random: &mut Random,
    ) -> Option<(Micros, Parcel)> {
        let stream = match message.kind() {
            "MsgApp" => 0,
            "MsgSnap" => 2,
            _ => 1,
        };
        let link = self.links.entry((message.from().0, message.to().0)).or_default();
        let mut delay = random.between(100, 2 * MS);
        if self.is_faulty {
            match random.below(1000) {
                0..15 => return None,
                15..18 => link.epoch += 1,
                18..28 => delay = random.below(2_500 * MS),
                _ => {}
            }
        }
        if link.n_cuts > 0 {
            return None;
        }
        let arrival = if self.reorders { now + delay } else { (now + delay).max(link.last[stream]) };
        link.last[stream] = arrival.max(link.last[stream]);
        Some((arrival - now, Parcel { message, epoch: link.epoch }))
    }

    /// Whether a message that was under way arrives.
    pub(crate) fn delivers(&self, parcel: &Parcel) -> bool {
        self.links.get(&parcel.link()).is_some_and(|link| link.n_cuts == 0 && link.epoch == parcel.epoch)
    }

    /// Whether one member can reach another.
    pub(crate) fn is_open(&self, from: u64, to: u64) -> bool {
        self.links.get(&(from, to)).is_none_or(|link| link.n_cuts == 0)
    }

    /// Cuts one direction, until [`Network::mend`].
    pub(crate) fn cut(&mut self, from: u64, to: u64) {
        let link = self.links.entry((from, to)).or_default();
        link.n_cuts += 1;
        link.epoch += 1;
    }

    /// Takes one cut back.
    pub(crate) fn mend(&mut self, from: u64, to: u64) {
        if let Some(link) = self.links.get_mut(&(from, to)) {
            link.n_cuts = link.n_cuts.saturating_sub(1);
        }
    }

    /// Ends all that is under way from and to a member that went down.
    pub(crate) fn drop_in_flight(&mut self, member: u64) {
        for ((from, to), link) in &mut self.links {
            if *from == member || *to == member {
                link.epoch += 1;
            }
        }
    }

    /// No cuts any more, no losses.
    pub(crate) fn heal(&mut self) {
        (self.is_faulty, self.reorders) = (false, false);
        self.links.values_mut().for_each(|link| link.n_cuts = 0);
    }
}
