//! Deliveries to a stream.

use crate::{Events, WatchId};

/// Events of one watch, in order. All that the watch wants of a revision is in one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchBatch {
    /// The watch.
    pub id: WatchId,
    /// With this batch the watch has received everything up to this main revision.
    pub revision: i64,
    /// The events.
    pub events: Events,
    /// [`WatchSpec::fragment`](crate::WatchSpec::fragment) of the watch.
    pub fragment: bool,
}

/// One thing that a stream receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A watch exists now; its first event comes behind this.
    Created {
        /// Its id.
        id: WatchId,
        /// The hub's revision at that moment.
        revision: i64,
    },
    /// A watch was not created.
    Rejected {
        /// The hub's revision at that moment.
        revision: i64,
        /// Why.
        reason: CreateError,
    },
    /// Something happened.
    Events(WatchBatch),
    /// Nothing else happened up to a revision.
    Progress {
        /// The watch that this concerns; `None` for all of the stream.
        id: Option<WatchId>,
        /// Everything up to it was delivered before.
        revision: i64,
    },
    /// A watch was canceled; nothing of it follows.
    Canceled {
        /// Its id, which is free again.
        id: WatchId,
        /// The hub's revision at that moment.
        revision: i64,
    },
    /// A watch was ended by [`Hub::retain`](crate::Hub::retain); nothing of it follows, and what was delivered and not
    /// taken is not for its owner any more.
    Revoked {
        /// Its id, which is free again.
        id: WatchId,
        /// The hub's revision at that moment.
        revision: i64,
    },
    /// A watch has ended because history that it had not received is compacted. Its id is taken until the
    /// owner cancels it.
    Compacted {
        /// Its id.
        id: WatchId,
        /// The compacted revision.
        compacted: i64,
    },
    /// The stream has ended; nothing follows.
    Ended(End),
}

/// Why a watch was not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// No key can be in its range.
    EmptyRange,
    /// The stream has a watch of this id.
    DuplicateId,
}

/// Why a stream was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The cluster has no leader, and the stream requires one.
    NoLeader,
    /// The member stops.
    Stopped,
}

/// The way to the owner of a stream: a queue that the hub fills and the owner empties.
pub trait Outlet {
    /// Whether events may be delivered. After a `false` the owner must call [`Hub::resume`](crate::Hub::resume) once
    /// there is room; until then the watches of the stream are unsynced and cost nothing.
    fn has_room(&mut self) -> bool;

    /// Takes a delivery behind all earlier ones. Everything but events comes whether or not there is room: one
    /// response to each command, for a tick one from each watch, and one at the end of a watch or stream.
    fn deliver(&mut self, delivery: Delivery);
}
