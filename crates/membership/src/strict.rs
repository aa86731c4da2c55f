//! Which changes of the members are too risky, as etcd sees it (its flag `--strict-reconfig-check`).
//!
//! These checks are made before a change is proposed, by the member that got the request, and from what that
//! member sees of the others. They are no part of the replicated state.

use ferretcd_base::MemberId;

use crate::{Member, Membership};

/// How long one member has been in contact with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Not at all.
    None,
    /// For a short while.
    Recent,
    /// For long enough to count on it; every member is so with itself.
    Stable,
}

/// A change of the members would put the cluster at risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooRisky {
    /// Too few of the voters have ever started.
    #[error("change the members: {started} started members are less than a quorum of {quorum}")]
    NotEnoughStarted {
        /// Voters that have started.
        started: usize,
        /// Voters that will be needed for any decision.
        quorum: usize,
    },
    /// Too few of the voters are in contact.
    #[error("change the members: {active} members in contact are less than a quorum of {quorum}")]
    Unhealthy {
        /// Voters in contact.
        active: usize,
        /// Voters that will be needed for any decision.
        quorum: usize,
    },
}

impl Membership {
    /// Whether a voter or a learner may be added. Members that are joining count as voters here, as they do
    /// for etcd: one has to start before the next one comes.
    pub fn check_add(&self, is_learner: bool, contact: impl Fn(MemberId) -> Contact) -> Result<(), TooRisky> {
        let voters: Vec<&Member> = self.members().filter(|member| !member.is_learner).collect();
        let (started, quorum) = (count_started(&voters), quorum(voters.len() + 1));
        // A cluster is allowed to grow from one member to two, although nothing can be decided until the
        // second one has started: there is no other way.
        let is_first = voters.len() == 1;
        if !is_learner && started < quorum && !(is_first && started == 1) {
            return Err(TooRisky::NotEnoughStarted { started, quorum });
        }
        let active = count_active(&voters, contact);
        if active < quorum && !is_first {
            return Err(TooRisky::Unhealthy { active, quorum });
        }
        Ok(())
    }

    /// Whether a member may be removed. A member without a vote or without contact
    /// always may.
    pub fn check_remove(&self, id: MemberId, contact: impl Fn(MemberId) -> Contact) -> Result<(), TooRisky> {
        if self.member(id).is_some_and(|member| !member.is_voter()) {
            return Ok(());
        }
        let voters: Vec<&Member> = self.members().filter(|member| member.is_voter()).collect();
        let others: Vec<&Member> = voters.iter().copied().filter(|member| member.id != id).collect();
        let (started, quorum) = (count_started(&others), quorum(others.len()));
        if started < quorum {
            return Err(TooRisky::NotEnoughStarted { started, quorum });
        }
        if contact(id) == Contact::None {
            return Ok(());
        }
        // A member in contact only recently is not among those counted, and yet subtracted, as in etcd.
        let active = count_active(&voters, contact).saturating_sub(1);
        if active < quorum {
            return Err(TooRisky::Unhealthy { active, quorum });
        }
        Ok(())
    }

    /// Whether one more member may vote; that one is taken for started.
    pub fn check_promote(&self) -> Result<(), TooRisky> {
        let voters: Vec<&Member> = self.members().filter(|member| !member.is_learner).collect();
        let (started, quorum) = (count_started(&voters) + 1, quorum(voters.len() + 1));
        if started < quorum {
            return Err(TooRisky::NotEnoughStarted { started, quorum });
        }
        Ok(())
    }
}

fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

fn count_started(members: &[&Member]) -> usize {
    members.iter().filter(|member| member.is_started()).count()
}

fn count_active(members: &[&Member], contact: impl Fn(MemberId) -> Contact) -> usize {
    members.iter().filter(|member| contact(member.id) == Contact::Stable).count()
}

#[cfg(test)]
mod tests {
    use ferretcd_backend::Batch;

    use super::*;
    use crate::Change;

    /// One letter for each member, ids from 1: `S`tarted voter, voter that has not `u`nstarted, `L`earner, `J`oining and
    /// started, `j`oining and not.
    fn members(kinds: &str) -> Membership {
        let mut membership = Membership::default();
        for (kind, id) in kinds.chars().zip(1..) {
            let member = Member {
                id: MemberId(id),
                peer_urls: vec![format!("http://m{id}:1")],
                is_learner: kind == 'L',
                is_joining: matches!(kind, 'J' | 'j'),
                name: if matches!(kind, 'u' | 'j') { String::new() } else { format!("m{id}") },
                ..Member::default()
            };
            let add = Change::Add { member, learners_max: usize::MAX };
            membership.change(add, &mut Batch::default()).expect("ids and URLs differ");
        }
        membership
    }

    /// One character for each member: `+` stable, `.` recent, `-` none.
    fn contact(contacts: &str) -> impl Fn(MemberId) -> Contact {
        move |id| match contacts.as_bytes().get(id.0 as usize - 1) {
            Some(b'+') => Contact::Stable,
            Some(b'.') => Contact::Recent,
            _ => Contact::None,
        }
    }

    const OK: Result<(), TooRisky> = Ok(());

    fn not_started(started: usize, quorum: usize) -> Result<(), TooRisky> {
        Err(TooRisky::NotEnoughStarted { started, quorum })
    }

    fn unhealthy(active: usize, quorum: usize) -> Result<(), TooRisky> {
        Err(TooRisky::Unhealthy { active, quorum })
    }

    #[test]
    fn risky_additions_are_rejected() {
        for (kinds, contacts, voter, learner) in [
            // One that has started may get a second one.
            ("S", "+", OK, OK),
            ("u", "+", not_started(0, 2), OK),
            ("SL", "+-", OK, OK),
            // The second one has to start before there is a third.
            ("Su", "+-", not_started(1, 2), unhealthy(1, 2)),
            ("Sj", "+-", not_started(1, 2), unhealthy(1, 2)),
            ("SJ", "++", OK, OK),
            ("SJ", "+.", unhealthy(1, 2), unhealthy(1, 2)),
            ("SS", "++", OK, OK),
            ("SS", "+.", unhealthy(1, 2), unhealthy(1, 2)),
            // The new one counts as down: of three, all have to be in contact, of four three.
            ("SSS", "+++", OK, OK),
            ("SSS", "++-", unhealthy(2, 3), unhealthy(2, 3)),
            ("SSu", "++-", not_started(2, 3), unhealthy(2, 3)),
            ("SSSL", "+++-", OK, OK),
            ("SSSS", "+++-", OK, OK),
            ("SSSS", "++--", unhealthy(2, 3), unhealthy(2, 3)),
            ("SSSuu", "+++--", not_started(3, 4), unhealthy(3, 4)),
            ("SSSSS", "++++-", OK, OK),
        ] {
            let members = members(kinds);
            assert_eq!(members.check_add(false, contact(contacts)), voter, "voter to {kinds} {contacts}");
            assert_eq!(members.check_add(true, contact(contacts)), learner, "learner to {kinds} {contacts}");
        }
    }

    #[test]
    fn risky_removals_are_rejected() {
        for (kinds, contacts, id, expected) in [
            ("S", "+", 1, not_started(0, 1)),
            ("SS", "++", 2, OK),
            ("SS", "++", 1, OK),
            ("SS", "+.", 2, unhealthy(0, 1)),
            ("SS", "+-", 2, OK),
            ("SS", "+-", 1, unhealthy(0, 1)),
            ("Su", "+-", 2, OK),
            ("Su", "+-", 1, not_started(0, 1)),
            ("SSS", "+++", 3, OK),
            ("SSS", "++-", 3, OK),
            ("SSS", "++-", 2, unhealthy(1, 2)),
            ("SSS", "+--", 2, OK),
            ("SSu", "++-", 2, not_started(1, 2)),
            ("SSSS", "+++-", 1, OK),
            ("SSSS", "++--", 1, unhealthy(1, 2)),
            // A member without a vote makes no difference.
            ("SL", "+-", 2, OK),
            ("Suj", "+-+", 3, OK),
            ("SSSJ", "++-+", 2, unhealthy(1, 2)),
            ("SJ", "++", 1, not_started(0, 1)),
            // An unknown member is found out when the change is applied.
            ("SSS", "+++", 9, OK),
            ("Suu", "+--", 9, not_started(1, 2)),
        ] {
            let removed = members(kinds).check_remove(MemberId(id), contact(contacts));
            assert_eq!(removed, expected, "{id} of {kinds} {contacts}");
        }
    }

    #[test]
    fn risky_promotions_are_rejected() {
        for (kinds, expected) in [
            ("SL", OK),
            ("uL", not_started(1, 2)),
            ("SuL", OK),
            ("SuuL", not_started(2, 3)),
            ("SSuL", OK),
            ("SjL", OK),
        ] {
            assert_eq!(members(kinds).check_promote(), expected, "{kinds}");
        }
    }
}
