//! The countdown against a list of leases that is searched from end to end, with a clock moved by hand.
//!
//! The model keeps moments exactly, the countdown in whole milliseconds: a lease ends at the first of these that is
//! not before its deadline.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ferretcd_base::LeaseId;
use ferretcd_lease::{Deadlines, Lease, Renewal, TTL_MAX};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// How long after a report a lease that is still there is reported again.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a lease that is longer than this gets a checkpoint.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
enum Op {
    Pass(Duration),
    Lead(Duration, BTreeMap<LeaseId, Lease>),
    Resign,
    Grant(LeaseId, i64),
    Revoke(LeaseId),
    Renew(LeaseId),
    /// Takes what has expired, at most so many.
    Expire(usize),
    /// And revokes it at once.
    End(usize),
    Checkpoints(usize),
    Checkpointed(LeaseId, i64),
}

fn id() -> impl Strategy<Value = LeaseId> {
    (1..8i64).prop_map(LeaseId)
}

fn ttl() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 1..8i64, 3 => 298..303i64, 2 => 600..1200i64, 1 => Just(TTL_MAX)]
}

fn lease() -> impl Strategy<Value = Lease> {
    (ttl(), prop_oneof![Just(0), 1..900i64]).prop_map(|(ttl, left)| Lease { ttl, remaining: left.min(ttl) })
}

fn pause() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => (0..3_000_000u64).prop_map(Duration::from_nanos),
        4 => (0..4_000u64).prop_map(Duration::from_millis),
        2 => (0..4u64).prop_map(Duration::from_secs),
        1 => (0..400u64).prop_map(Duration::from_secs),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let extend = prop_oneof![Just(Duration::ZERO), pause()];
    prop_oneof![
        24 => pause().prop_map(Op::Pass),
        1 => (extend, btree_map(id(), lease(), 0..7)).prop_map(|(extend, leases)| Op::Lead(extend, leases)),
        1 => Just(Op::Resign),
        8 => (id(), ttl()).prop_map(|(id, ttl)| Op::Grant(id, ttl)),
        3 => id().prop_map(Op::Revoke),
        8 => id().prop_map(Op::Renew),
        8 => (0..4usize).prop_map(Op::Expire),
        4 => (0..4usize).prop_map(Op::End),
        4 => (0..4usize).prop_map(Op::Checkpoints),
        2 => (id(), 0..2i64).prop_map(|(id, left)| Op::Checkpointed(id, left)),
    ]
}

/// One lease as it must be counted.
#[derive(Clone, Copy, Debug)]
struct Countdown {
    ttl: i64,
    /// Since the start, as all moments here.
    deadline: Duration,
    /// When it is to be reported again, once it was.
    again: Option<Duration>,
    checkpoint: Duration,
    is_checkpointed: bool,
}

impl Countdown {
    fn new(lease: Lease, from: Duration) -> Self {
        let left = if lease.remaining > 0 { lease.remaining } else { lease.ttl };
        Self {
            ttl: lease.ttl,
            deadline: from + seconds(left),
            again: None,
            checkpoint: up(from) + CHECKPOINT_INTERVAL,
            is_checkpointed: lease.remaining > 0,
        }
    }

    fn end(&self) -> Duration {
        up(self.deadline)
    }

    /// When it is to be reported next.
    fn due(&self) -> Duration {
        self.again.unwrap_or(self.end())
    }

    fn is_over(&self, now: Duration) -> bool {
        self.again.is_some() || self.end() <= now
    }
}

fn seconds(n: i64) -> Duration {
    Duration::from_secs(n.unsigned_abs())
}

/// The first whole millisecond that is not before a moment.
fn up(moment: Duration) -> Duration {
    Duration::from_millis(moment.as_nanos().div_ceil(1_000_000) as u64)
}

fn down(moment: Duration) -> Duration {
    Duration::from_millis(moment.as_millis() as u64)
}

/// The countdown, the model, and the clock of both.
struct Run {
    start: Instant,
    now: Duration,
    deadlines: Deadlines,
    /// `None` while the member doesn't lead.
    model: Option<BTreeMap<LeaseId, Countdown>>,
}

impl Run {
    fn new() -> Self {
        let start = Instant::now();
        Self { start, now: Duration::ZERO, deadlines: Deadlines::new(start), model: None }
    }

    fn clock(&self) -> Instant {
        self.start + self.now
    }

    fn execute(&mut self, op: Op) {
        let (clock, now) = (self.clock(), self.now);
        match op {
            Op::Pass(time) => self.now += time,
            Op::Lead(extend, leases) => {
                self.deadlines.lead(clock, extend, leases.clone());
                let from = now + extend;
                self.model =
                    Some(leases.into_iter().map(|(id, lease)| (id, Countdown::new(lease, from))).collect());
            }
            Op::Resign => {
                self.deadlines.resign();
                self.model = None;
            }
            Op::Grant(id, ttl) => {
                self.deadlines.grant(id, ttl, clock);
                let granted = Countdown::new(Lease { ttl, remaining: 0 }, now);
                self.model.iter_mut().for_each(|leases| _ = leases.insert(id, granted));
            }
            Op::Revoke(id) => self.revoke(id),
            Op::Renew(id) => self.renew(id),
            Op::Expire(max) => _ = self.expire(max),
            Op::End(max) => self.expire(max).into_iter().for_each(|id| self.revoke(id)),
            Op::Checkpoints(max) => self.checkpoints(max),
            Op::Checkpointed(id, left) => {
                self.deadlines.checkpointed(id, left);
                if let Some(lease) = self.model.as_mut().and_then(|leases| leases.get_mut(&id)) {
                    lease.is_checkpointed = left > 0;
                }
            }
        }
    }

    fn revoke(&mut self, id: LeaseId) {
        self.deadlines.revoke(id);
        self.model.iter_mut().for_each(|leases| _ = leases.remove(&id));
    }

    fn renew(&mut self, id: LeaseId) {
        let now = self.now;
        let expected = match &mut self.model {
            None => Renewal::NotLeading,
            Some(leases) => match leases.get_mut(&id) {
                None => Renewal::Unknown,
                Some(lease) if lease.is_over(now) => Renewal::Expired,
                Some(lease) => {
                    lease.deadline = now + seconds(lease.ttl);
                    Renewal::Renewed { ttl: lease.ttl, was_checkpointed: lease.is_checkpointed }
                }
            },
        };
        assert_eq!(self.deadlines.renew(id, self.clock()), expected);
    }

    fn expire(&mut self, max: usize) -> Vec<LeaseId> {
        let (clock, now) = (self.clock(), self.now);
        let mut leases = self.model.iter_mut().flatten().collect::<Vec<_>>();
        leases.sort_by_key(|(id, lease)| (lease.due(), **id));
        let mut expected = Vec::new();
        for (id, lease) in leases.into_iter().filter(|(_, lease)| lease.due() <= now).take(max) {
            assert!(lease.deadline <= now, "{id} would end early");
            lease.again = Some(down(now) + PATIENCE);
            expected.push(*id);
        }
        assert_eq!(self.deadlines.expired(clock, max), expected);
        expected
    }

    fn checkpoints(&mut self, max: usize) {
        let (clock, now) = (self.clock(), self.now);
        let mut leases = self.model.iter_mut().flatten().collect::<Vec<_>>();
        leases.retain(|(_, lease)| seconds(lease.ttl) > CHECKPOINT_INTERVAL && lease.checkpoint <= now);
        leases.sort_by_key(|(id, lease)| (lease.checkpoint, **id));
        let mut expected = Vec::new();
        for (id, lease) in leases {
            if expected.len() == max {
                break;
            }
            lease.checkpoint = down(now) + CHECKPOINT_INTERVAL;
            let left = lease.end().saturating_sub(down(now)).as_millis().div_ceil(1_000) as i64;
            if (1..lease.ttl).contains(&left) {
                assert!(seconds(left) >= lease.deadline - now, "a leader to come would end {id} early");
                lease.is_checkpointed = true;
                expected.push((*id, left));
            }
        }
        assert_eq!(self.deadlines.checkpoints(clock, max), expected);
    }

    fn check(&self) {
        assert_eq!(self.deadlines.is_leading(), self.model.is_some());
        let leases = self.model.iter().flatten();
        match (self.deadlines.next(), leases.clone().map(|(_, lease)| lease.due()).min()) {
            (Some(next), Some(due)) => assert!(next <= self.start + due, "{due:?} would be overslept"),
            (next, due) => assert_eq!((next, due), (None, None)),
        }
        let by_deadline = self.model.as_ref().map(|leases| {
            let mut leases: Vec<_> = leases.iter().map(|(id, lease)| (lease.end(), *id)).collect();
            leases.sort();
            leases.into_iter().map(|(_, id)| id).collect::<Vec<_>>()
        });
        assert_eq!(self.deadlines.by_deadline(), by_deadline);
        for (id, lease) in leases {
            let left = lease.end().as_millis() as i64 - self.now.as_millis() as i64;
            assert_eq!(self.deadlines.remaining(*id, self.clock()), Some(left / 1_000), "{id}");
        }
        assert_eq!(self.deadlines.remaining(LeaseId(99), self.clock()), None);
    }
}

proptest! {
    #[test]
    fn the_countdown_follows_the_model(ops in vec(op(), 1..200), leases in btree_map(id(), lease(), 0..7)) {
        let mut run = Run::new();
        run.execute(Op::Lead(Duration::ZERO, leases));
        for op in ops {
            run.execute(op);
            run.check();
        }
    }
}

const fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn the_longest_overdue_lease_is_first() {
    let mut run = Run::new();
    run.execute(Op::Lead(Duration::ZERO, BTreeMap::new()));
    let steps =
        [(0, Op::Grant(LeaseId(1), 5)), (2_000, Op::Grant(LeaseId(2), 5)), (4_000, Op::Renew(LeaseId(1)))];
    for (millis, op) in steps {
        run.now = at(millis);
        run.execute(op);
    }
    // Lease 1 comes up first, as it was not renewed at the beginning; but it ends at 9 s, the other at 7 s.
    let late = run.start + at(10_000);
    assert_eq!(run.deadlines.expired(late, 1), [LeaseId(2)]);
    assert_eq!(run.deadlines.expired(late, 1), [LeaseId(1)]);
}

/// A renewal counts from itself, also if a new leader had given the lease more.
#[test]
fn the_extension_ends_with_the_first_renewal() {
    let start = Instant::now();
    let mut deadlines = Deadlines::new(start);
    deadlines.lead(start, at(60_000), [(LeaseId(1), Lease { ttl: 10, remaining: 0 })]);
    assert_eq!(deadlines.remaining(LeaseId(1), start), Some(70));
    let renewed = Renewal::Renewed { ttl: 10, was_checkpointed: false };
    assert_eq!(deadlines.renew(LeaseId(1), start + at(1_000)), renewed);
    assert_eq!(deadlines.next(), Some(start + at(11_000)));
    assert_eq!(deadlines.expired(start + at(11_000), 10), [LeaseId(1)]);
}

#[test]
fn a_fraction_of_a_millisecond_counts() {
    let start = Instant::now();
    let mut deadlines = Deadlines::new(start);
    deadlines.lead(start, Duration::ZERO, []);
    let granted = start + Duration::from_micros(300);
    deadlines.grant(LeaseId(1), 2, granted);
    let early = granted + Duration::from_secs(2) - Duration::from_nanos(1);
    assert_eq!(deadlines.expired(early, 10), []);
    assert_eq!(deadlines.expired(deadlines.next().expect("a lease"), 10), [LeaseId(1)]);
}

/// Renewals of a crowd, in the rhythm of clients that renew at a third of the time to live.
#[test]
fn many_leases_are_kept_alive_and_then_end_in_order() {
    const LEASES: i64 = 100_000;
    const ROUNDS: u64 = 6;
    let start = Instant::now();
    let mut deadlines = Deadlines::new(start);
    let leases = (0..LEASES).map(|id| (LeaseId(id), Lease { ttl: 9, remaining: 0 }));
    deadlines.lead(start, Duration::ZERO, leases);
    // Lease n is renewed n/100 ms after the others begin to be.
    let renewed = |round: u64, id: i64| start + at(round * 3_000) + Duration::from_micros(id as u64 * 10);
    for round in 0..ROUNDS {
        for id in 0..LEASES {
            let renewal = deadlines.renew(LeaseId(id), renewed(round, id));
            assert!(matches!(renewal, Renewal::Renewed { .. }), "lease {id} in round {round}: {renewal:?}");
        }
        assert_eq!(deadlines.expired(renewed(round, LEASES), 500), []);
    }
    let mut ended = Vec::new();
    let last = renewed(ROUNDS - 1, 0);
    for tick in 0..=10_000 / 100 {
        let now = last + at(tick * 100);
        while deadlines.next().is_some_and(|next| next <= now) {
            let expired = deadlines.expired(now, 500);
            let is_over = |id: &LeaseId| renewed(ROUNDS - 1, id.0) + at(9_000) <= now;
            assert!(expired.iter().all(is_over), "early at tick {tick}");
            expired.iter().for_each(|id| deadlines.revoke(*id));
            ended.extend(expired);
        }
    }
    assert!(ended.into_iter().eq((0..LEASES).map(LeaseId)), "all, each once, in order");
    assert_eq!(deadlines.next(), None);
}
