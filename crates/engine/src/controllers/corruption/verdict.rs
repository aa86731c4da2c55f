//! Which members are corrupt, by the hashes of all of them.

use std::collections::BTreeMap;

use ferretcd_api_proto::etcdserverpb::AlarmType;
use ferretcd_apply::Alarm;
use ferretcd_base::MemberId;

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Equal,
    /// A quorum agrees, and these do not agree with it.
    Corrupt(Vec<MemberId>),
    /// There are differences, and no quorum of equals.
    Undecided,
}

/// The members that differ from the hash that most of a cluster of `n_members` have.
pub(super) fn compare(hashes: &[(MemberId, u32)], n_members: usize) -> Verdict {
    let mut groups: BTreeMap<u32, Vec<MemberId>> = BTreeMap::new();
    for (id, hash) in hashes {
        groups.entry(*hash).or_default().push(*id);
    }
    if groups.len() <= 1 {
        return Verdict::Equal;
    }
    let quorum = n_members / 2 + 1;
    let Some(right) = groups.iter().find(|(_, ids)| ids.len() >= quorum).map(|(hash, _)| *hash) else {
        return Verdict::Undecided;
    };
    groups.remove(&right);
    Verdict::Corrupt(groups.into_values().flatten().collect())
}

/// The members without the alarm. Raised again, it would fill the log and change nothing.
pub(super) fn without_alarm(mut corrupt: Vec<MemberId>, alarms: &[Alarm]) -> Vec<MemberId> {
    corrupt.retain(|id| !alarms.contains(&Alarm { kind: AlarmType::Corrupt as i32, member: *id }));
    corrupt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_differ_from_the_quorum_are_corrupt() {
        let check = |hashes: &[(u64, u32)], n_members, expected| {
            let hashes: Vec<_> = hashes.iter().map(|(id, hash)| (MemberId(*id), *hash)).collect();
            assert_eq!(compare(&hashes, n_members), expected, "{hashes:?} of {n_members}");
        };
        let corrupt = |ids: &[u64]| Verdict::Corrupt(ids.iter().copied().map(MemberId).collect());
        check(&[(1, 7)], 3, Verdict::Equal);
        check(&[(1, 7), (2, 7), (3, 7)], 3, Verdict::Equal);
        check(&[(1, 7), (2, 7), (3, 8)], 3, corrupt(&[3]));
        check(&[(1, 8), (2, 7), (3, 7)], 3, corrupt(&[1]));
        check(&[(1, 7), (2, 8)], 3, Verdict::Undecided);
        check(&[(1, 7), (2, 8)], 2, Verdict::Undecided);
        check(&[(1, 7), (2, 8), (3, 9)], 3, Verdict::Undecided);
        check(&[(1, 7), (2, 8), (3, 7), (4, 9), (5, 7)], 5, corrupt(&[2, 4]));
    }

    #[test]
    fn alarm_is_raised_once() {
        let alarm = |kind: AlarmType, member| Alarm { kind: kind as i32, member: MemberId(member) };
        let alarms =
            [alarm(AlarmType::Corrupt, 1), alarm(AlarmType::Nospace, 2), alarm(AlarmType::Corrupt, 0)];
        let check = |corrupt: &[u64], expected: &[u64]| {
            let found = without_alarm(corrupt.iter().copied().map(MemberId).collect(), &alarms);
            assert_eq!(found.iter().map(|id| id.0).collect::<Vec<_>>(), expected, "{corrupt:?}");
        };
        check(&[1, 2, 3], &[2, 3]);
        check(&[1], &[]);
        // The alarm of no member says that no member is known to be wrong.
        check(&[0], &[]);
    }
}
