//! Random changes against a naive model: replicas agree, also one that is reopened, and the invariants hold.

use std::collections::{BTreeMap, BTreeSet};

use ferretcd_backend::{Backend, Batch};
use ferretcd_base::MemberId;
use ferretcd_membership::{Change, ChangeError, Member, Membership};
use proptest::prelude::*;

const LEARNERS_MAX: usize = 2;

/// The members as simply as possible: kind and URL by id.
#[derive(Default)]
struct Model {
    members: BTreeMap<u64, (Kind, u8)>,
    removed: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Voter,
    Learner,
    Joining,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(u64, Kind, u8),
    Promote(u64),
    Update(u64, u8),
    Remove(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let id = 1..8_u64;
    let kind = prop_oneof![Just(Kind::Voter), Just(Kind::Learner), Just(Kind::Joining)];
    prop_oneof![
        4 => (id.clone(), kind, 0..9_u8).prop_map(|(id, kind, url)| Step::Add(id, kind, url)),
        2 => id.clone().prop_map(Step::Promote),
        1 => (id.clone(), 0..9_u8).prop_map(|(id, url)| Step::Update(id, url)),
        2 => id.prop_map(Step::Remove),
    ]
}

fn url(number: u8) -> String {
    format!("http://m{number}:2380")
}

fn change(step: Step) -> Change {
    match step {
        Step::Add(id, kind, number) => Change::Add {
            member: Member {
                id: MemberId(id),
                peer_urls: vec![url(number)],
                is_learner: kind == Kind::Learner,
                is_joining: kind == Kind::Joining,
                ..Member::default()
            },
            learners_max: LEARNERS_MAX,
        },
        Step::Promote(id) => Change::Promote(MemberId(id)),
        Step::Update(id, number) => Change::UpdatePeerUrls(MemberId(id), vec![url(number)]),
        Step::Remove(id) => Change::Remove(MemberId(id)),
    }
}

impl Model {
    /// Whether the step is possible; does it if so.
    fn step(&mut self, step: Step) -> bool {
        let voters = self.members.values().filter(|(kind, _)| *kind == Kind::Voter).count();
        let learners = self.members.values().filter(|(kind, _)| *kind == Kind::Learner).count();
        let is_taken =
            |id: u64, url: u8| self.members.iter().any(|(other, (_, used))| *other != id && *used == url);
        let found = |id: u64| self.members.get(&id).copied();
        match step {
            Step::Add(id, kind, url) => {
                let too_many = kind == Kind::Learner && learners >= LEARNERS_MAX;
                if self.removed.contains(&id) || found(id).is_some() || is_taken(id, url) || too_many {
                    return false;
                }
                self.members.insert(id, (kind, url));
            }
            Step::Promote(id) => match found(id) {
                None | Some((Kind::Voter, _)) => return false,
                Some((_, url)) => {
                    self.members.insert(id, (Kind::Voter, url));
                }
            },
            Step::Update(id, url) => match found(id) {
                Some((kind, _)) if !is_taken(id, url) => {
                    self.members.insert(id, (kind, url));
                }
                _ => return false,
            },
            Step::Remove(id) => match found(id) {
                None => return false,
                Some((Kind::Voter, _)) if voters == 1 => return false,
                Some(_) => {
                    self.members.remove(&id);
                    self.removed.insert(id);
                }
            },
        }
        true
    }

    fn ids(&self, is_wanted: impl Fn(Kind) -> bool) -> Vec<MemberId> {
        let wanted = self.members.iter().filter(|(_, (kind, _))| is_wanted(*kind));
        wanted.map(|(id, _)| MemberId(*id)).collect()
    }
}

/// A member's replica: changes reach it as the text that the log has.
struct Replica {
    backend: Backend,
    membership: Membership,
}

impl Replica {
    fn new() -> Self {
        let backend = Backend::in_memory();
        Self { membership: Membership::open(&backend).expect("empty"), backend }
    }

    fn apply(&mut self, change: &Change) -> Result<(), ChangeError> {
        let context = change.to_context();
        let read = match change {
            Change::Add { .. } | Change::Promote(_) => Change::from_addition(context.as_bytes()),
            Change::UpdatePeerUrls(..) => Change::from_update(context.as_bytes()),
            Change::Remove(id) => Ok(Change::Remove(*id)),
        };
        let read = read.expect("own text");
        assert_eq!(&with_limit(read.clone()), change);
        let mut batch = Batch::default();
        let changed = self.membership.change(with_limit(read), &mut batch);
        assert_eq!(batch.is_empty(), changed.is_err(), "rows only for what was changed");
        self.backend.commit(&batch).expect("memory");
        changed
    }

    fn restart(&mut self) {
        self.membership = Membership::open(&self.backend).expect("own rows");
    }
}

/// The text has the limit only where it matters.
fn with_limit(change: Change) -> Change {
    match change {
        Change::Add { member, .. } => Change::Add { member, learners_max: LEARNERS_MAX },
        other => other,
    }
}

proptest! {
    #[test]
    fn replicas_follow_the_model(steps in prop::collection::vec((step(), any::<bool>()), 0..60)) {
        let mut model = Model::default();
        let (mut one, mut other) = (Replica::new(), Replica::new());
        for (step, restarts) in steps {
            let change = change(step);
            let changed = one.apply(&change);
            prop_assert_eq!(other.apply(&change), changed);
            prop_assert_eq!(model.step(step), changed.is_ok(), "{:?}: {:?}", step, changed);
            if restarts {
                other.restart();
            }
            for replica in [&one, &other] {
                let membership = &replica.membership;
                // Joining members and learners count in no quorum.
                prop_assert_eq!(membership.voters().collect::<Vec<_>>(), model.ids(|kind| kind == Kind::Voter));
                prop_assert_eq!(membership.non_voters().collect::<Vec<_>>(), model.ids(|kind| kind != Kind::Voter));
                for (id, (_, number)) in &model.members {
                    let member = membership.member(MemberId(*id)).expect("a member");
                    prop_assert_eq!(&member.peer_urls, &[url(*number)]);
                }
                prop_assert!(model.removed.iter().all(|id| membership.is_removed(MemberId(*id))));
            }
        }
    }
}
