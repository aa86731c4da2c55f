//! Finding the watches that a change concerns.
//!
//! Watches with the same selection are one group: a change is matched once for all of them, and they get the
//! same block of events. Groups of single keys are found through a map, groups of ranges through an interval
//! tree.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferretcd_base::KeyRange;
use ferretcd_mvcc::Change;
use slab::Slab;
use smallvec::SmallVec;

use crate::keys::{GroupKey, WatcherKey};
use crate::ranges::{End, Ranges, Span};
use crate::spec::Selection;

/// Groups that differ only in filters and form.
type Alike = SmallVec<[GroupKey; 2]>;

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) selection: Selection,
    /// Watches that have received everything.
    pub(crate) synced: Vec<WatcherKey>,
    /// The number of the others.
    pub(crate) n_unsynced: u32,
}

/// A group and the index of a change that concerns it.
pub(crate) type Pick = (GroupKey, u32);

#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Slab<Group>,
    keys: BTreeMap<Bytes, Alike>,
    ranges: Ranges<Alike>,
}

impl Groups {
    /// The group of a selection; a new one has no watches and must be given one.
    pub(crate) fn enter(&mut self, selection: Selection) -> GroupKey {
        let Self { groups, keys, ranges } = self;
        let alike = match &selection.range {
            KeyRange::Key(key) => keys.entry(key.clone()).or_default(),
            range => ranges.entry(span(range)),
        };
        if let Some(key) = alike.iter().find(|key| groups[key.0 as usize].selection == selection) {
            return *key;
        }
        let key = GroupKey(groups.insert(Group { selection, synced: Vec::new(), n_unsynced: 0 }) as u32);
        alike.push(key);
        key
    }

    /// Forgets a group that has no watches any more.
    pub(crate) fn remove_if_empty(&mut self, key: GroupKey) {
        let Group { synced, n_unsynced, .. } = self.get(key);
        if !synced.is_empty() || *n_unsynced > 0 {
            return;
        }
        let Group { selection, .. } = self.groups.remove(key.0 as usize);
        let left = |alike: &mut Alike| {
            alike.retain(|other| *other != key);
            alike.len()
        };
        match &selection.range {
            KeyRange::Key(only) => {
                if self.keys.get_mut(only).map(left) == Some(0) {
                    self.keys.remove(only);
                }
            }
            range => {
                let span = span(range);
                if self.ranges.get_mut(&span).map(left) == Some(0) {
                    self.ranges.remove(&span);
                }
            }
        }
    }

    pub(crate) fn get(&self, key: GroupKey) -> &Group {
        &self.groups[key.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, key: GroupKey) -> &mut Group {
        &mut self.groups[key.0 as usize]
    }

    /// The groups that pass `is_wanted` and want one of the changes, with the changes, ordered by both.
    pub(crate) fn pick(&self, changes: &[Change], is_wanted: impl Fn(GroupKey, &Group) -> bool) -> Vec<Pick> {
        let mut picks = Vec::new();
        for (index, change) in (0..).zip(changes) {
            let mut consider = |alike: &Alike| {
                for key in alike {
                    let group = self.get(*key);
                    if is_wanted(*key, group) && group.selection.admits(change) {
                        picks.push((*key, index));
                    }
                }
            };
            if let Some(alike) = self.keys.get(&change.key) {
                consider(alike);
            }
            self.ranges.find(&change.key, consider);
        }
        picks.sort_unstable();
        picks
    }
}

fn span(range: &KeyRange) -> Span {
    match range {
        KeyRange::Key(_) => unreachable!("single keys have a map of their own"),
        KeyRange::Interval(start, end) => (start.clone(), End::Before(end.clone())),
        KeyRange::From(start) => (start.clone(), End::Never),
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_base::{LeaseId, Revision};
    use ferretcd_mvcc::ChangeKind;
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Bytes> {
        prop_oneof![
            4 => "[a-d]{0,3}".prop_map(Bytes::from),
            1 => prop::collection::vec(prop::sample::select(&[0, b'a', 0xff][..]), 0..3).prop_map(Bytes::from),
        ]
    }

    fn range() -> impl Strategy<Value = KeyRange> {
        let range = prop_oneof![
            key().prop_map(KeyRange::Key),
            (key(), key()).prop_map(|(start, end)| KeyRange::Interval(start, end)),
            key().prop_map(KeyRange::From),
        ];
        range.prop_filter("the hub rejects empty ranges", |range| !range.is_empty())
    }

    fn selection() -> impl Strategy<Value = Selection> {
        let rarely = || prop::bool::weighted(0.2);
        (range(), rarely(), rarely(), any::<bool>())
            .prop_map(|(range, no_put, no_delete, prev_kv)| Selection { range, no_put, no_delete, prev_kv })
    }

    fn change() -> impl Strategy<Value = Change> {
        (key(), any::<bool>()).prop_map(|(key, is_put)| Change {
            revision: Revision::new(2, 0),
            kind: if is_put { ChangeKind::Put } else { ChangeKind::Delete },
            key,
            lease: LeaseId::NONE,
            row: Bytes::new(),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn groups_get_the_changes_of_their_ranges(
            selections in prop::collection::vec((selection(), any::<bool>()), 0..60),
            changes in prop::collection::vec(change(), 0..20),
        ) {
            let mut groups = Groups::default();
            let enter = |groups: &mut Groups, selection: &Selection| {
                let key = groups.enter(selection.clone());
                groups.get_mut(key).n_unsynced += 1;
                key
            };
            let leave = |groups: &mut Groups, key| {
                groups.get_mut(key).n_unsynced -= 1;
                groups.remove_if_empty(key);
            };
            let members: Vec<_> = selections
                .iter()
                .map(|(selection, stays)| (enter(&mut groups, selection), selection, stays))
                .collect();
            for (key, ..) in members.iter().filter(|(.., stays)| !**stays) {
                leave(&mut groups, *key);
            }
            let staying: BTreeMap<_, _> = members
                .iter()
                .filter(|(.., stays)| **stays)
                .map(|(key, selection, _)| (*key, *selection))
                .collect();
            let mut expected = Vec::new();
            for (key, selection) in &staying {
                prop_assert_eq!(&groups.get(*key).selection, *selection);
                for (index, change) in (0..).zip(&changes) {
                    if selection.range.contains(&change.key) && selection.admits(change) {
                        expected.push((*key, index));
                    }
                }
            }
            prop_assert_eq!(groups.pick(&changes, |_, _| true), expected);
            prop_assert_eq!(groups.pick(&changes, |_, _| false), []);

            for (key, ..) in members.iter().filter(|(.., stays)| **stays) {
                leave(&mut groups, *key);
            }
            prop_assert!(groups.groups.is_empty() && groups.keys.is_empty() && groups.ranges.is_empty());
        }
    }
}
