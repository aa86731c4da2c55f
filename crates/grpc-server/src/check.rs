//! Checks of a request that need its message alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Included, Unbounded};

use ferretcd_api_proto::errors::Error;
use ferretcd_api_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use ferretcd_api_proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op,
};

pub(crate) fn range(request: &RangeRequest) -> Result<(), Error> {
    if request.key.is_empty() {
        return Err(Error::EmptyKey);
    }
    let is_known =
        SortOrder::try_from(request.sort_order).is_ok() && SortTarget::try_from(request.sort_target).is_ok();
    if is_known { Ok(()) } else { Err(Error::InvalidSortOption) }
}

pub(crate) fn put(request: &PutRequest) -> Result<(), Error> {
    if request.key.is_empty() {
        Err(Error::EmptyKey)
    } else if request.ignore_value && !request.value.is_empty() {
        Err(Error::ValueProvided)
    } else if request.ignore_lease && request.lease != 0 {
        Err(Error::LeaseProvided)
    } else {
        Ok(())
    }
}

pub(crate) fn delete_range(request: &DeleteRangeRequest) -> Result<(), Error> {
    if request.key.is_empty() { Err(Error::EmptyKey) } else { Ok(()) }
}

/// Checks a transaction and everything in it. `ops_max` bounds each of its lists; a nested transaction gets
/// what its parent leaves.
pub(crate) fn txn(request: &TxnRequest, ops_max: usize) -> Result<(), Error> {
    operations(request, ops_max)?;
    Writes::of(&request.success)?;
    Writes::of(&request.failure)?;
    Ok(())
}

fn operations(txn: &TxnRequest, ops_max: usize) -> Result<(), Error> {
    let longest = txn.compare.len().max(txn.success.len()).max(txn.failure.len());
    let left = ops_max.checked_sub(longest).ok_or(Error::TooManyOps)?;
    if txn.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(Error::EmptyKey);
    }
    txn.success.iter().chain(&txn.failure).try_for_each(|op| match &op.request {
        Some(request_op::Request::RequestRange(request)) => range(request),
        Some(request_op::Request::RequestPut(request)) => put(request),
        Some(request_op::Request::RequestDeleteRange(request)) => delete_range(request),
        Some(request_op::Request::RequestTxn(nested)) => operations(nested, left),
        None => Err(Error::KeyNotFound),
    })
}

/// What one branch writes, to see whether a key is written twice.
///
/// The rules are etcd's to the letter, with their gaps: a deletion "from this key on" counts as the interval
/// that its bytes spell, which is empty; and a put of one nested transaction is not compared with deletions
/// of those after it.
///
/// What is nested goes up level by level, the smaller part into the larger one, so that a request of n operations costs
/// n log² n however deep they are.
#[derive(Default)]
struct Writes<'a> {
    puts: BTreeSet<&'a [u8]>,
    deletes: Intervals<'a>,
}

impl<'a> Writes<'a> {
    fn of(branch: &'a [RequestOp]) -> Result<Self, Error> {
        let mut writes = Self::default();
        for op in branch {
            if let Some(request_op::Request::RequestDeleteRange(delete)) = &op.request {
                writes.deletes.insert_range(&delete.key, &delete.range_end);
            }
        }
        for op in branch {
            if let Some(request_op::Request::RequestTxn(nested)) = &op.request {
                writes.add_nested(nested)?;
            }
        }
        for op in branch {
            if let Some(request_op::Request::RequestPut(put)) = &op.request
                && (writes.deletes.contain(&put.key) || !writes.puts.insert(&put.key))
            {
                return Err(Error::DuplicateKey);
            }
        }
        Ok(writes)
    }

    /// Only one branch of a nested transaction is executed, so a key may be put in both.
    fn add_nested(&mut self, nested: &'a TxnRequest) -> Result<(), Error> {
        let mut inner = Self::of(&nested.success)?;
        inner.merge(Self::of(&nested.failure)?);
        let (fewer, more) = by_size(&self.puts, &inner.puts);
        if self.deletes.meet(&inner.puts) || fewer.iter().any(|key| more.contains(key)) {
            return Err(Error::DuplicateKey);
        }
        self.merge(inner);
        Ok(())
    }

    fn merge(&mut self, mut other: Self) {
        if self.puts.len() < other.puts.len() {
            std::mem::swap(&mut self.puts, &mut other.puts);
        }
        self.puts.extend(other.puts);
        if self.deletes.0.len() < other.deletes.0.len() {
            std::mem::swap(&mut self.deletes, &mut other.deletes);
        }
        for (start, end) in other.deletes.0 {
            self.deletes.insert(start, end);
        }
    }
}

fn by_size<'s, T>(a: &'s BTreeSet<T>, b: &'s BTreeSet<T>) -> (&'s BTreeSet<T>, &'s BTreeSet<T>) {
    if a.len() < b.len() { (a, b) } else { (b, a) }
}

/// The end of an interval: a key, and whether it is within.
type End<'a> = (&'a [u8], bool);

/// Intervals of keys that do not meet, by their first key.
#[derive(Default)]
struct Intervals<'a>(BTreeMap<&'a [u8], End<'a>>);

impl<'a> Intervals<'a> {
    /// A range as a request spells it: without an end it is one key.
    fn insert_range(&mut self, key: &'a [u8], range_end: &'a [u8]) {
        if range_end.is_empty() {
            self.insert(key, (key, true));
        } else if key < range_end {
            self.insert(key, (range_end, false));
        }
    }

    /// Adds an interval that is not empty, as one with those that it meets.
    fn insert(&mut self, mut start: &'a [u8], mut end: End<'a>) {
        if let Some((before, end_before)) = self.at(start) {
            (start, end) = (before, end.max(end_before));
        }
        while let Some((next, next_end)) = self.0.range(start..).next().map(|(next, end)| (*next, *end))
            && is_before(next, end)
        {
            self.0.remove(next);
            end = end.max(next_end);
        }
        self.0.insert(start, end);
    }

    /// The interval that has a key.
    fn at(&self, key: &[u8]) -> Option<(&'a [u8], End<'a>)> {
        let (start, end) = self.0.range::<[u8], _>((Unbounded, Included(key))).next_back()?;
        is_before(key, *end).then_some((*start, *end))
    }

    fn contain(&self, key: &[u8]) -> bool {
        self.at(key).is_some()
    }

    /// Whether one of the keys is in one of the intervals.
    fn meet(&self, keys: &BTreeSet<&[u8]>) -> bool {
        if keys.len() < self.0.len() {
            return keys.iter().any(|key| self.contain(key));
        }
        self.0.iter().any(|(start, end)| {
            let first = keys.range::<[u8], _>((Included(*start), Unbounded)).next();
            first.is_some_and(|key| is_before(key, *end))
        })
    }
}

fn is_before(key: &[u8], (end, is_within): End<'_>) -> bool {
    key < end || is_within && key == end
}

#[cfg(test)]
mod tests {
    use ferretcd_api_proto::TXN_DEPTH_MAX;
    use ferretcd_api_proto::etcdserverpb::Compare;
    use proptest::prelude::*;

    use super::*;

    fn op(request: request_op::Request) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    fn put_op(key: &'static str) -> RequestOp {
        op(request_op::Request::RequestPut(PutRequest { key: key.into(), ..PutRequest::default() }))
    }

    fn delete_op(key: &'static str, range_end: &'static str) -> RequestOp {
        let delete = DeleteRangeRequest { key: key.into(), range_end: range_end.into(), prev_kv: false };
        op(request_op::Request::RequestDeleteRange(delete))
    }

    fn txn_op(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
        op(request_op::Request::RequestTxn(TxnRequest { compare: vec![], success, failure }))
    }

    fn check(success: Vec<RequestOp>, expected: Result<(), Error>) {
        let request = TxnRequest { compare: vec![], success: success.clone(), failure: vec![] };
        assert_eq!(txn(&request, 128), expected, "{request:?}");
        let request = TxnRequest { compare: vec![], success: vec![], failure: success };
        assert_eq!(txn(&request, 128), expected, "{request:?}");
    }

    #[test]
    fn key_is_written_once_in_a_branch() {
        let duplicate = Err(Error::DuplicateKey);
        check(vec![put_op("a"), put_op("b")], Ok(()));
        check(vec![put_op("a"), put_op("a")], duplicate);
        check(vec![put_op("a"), delete_op("a", "")], duplicate);
        check(vec![delete_op("a", "c"), put_op("b")], duplicate);
        check(vec![delete_op("a", "c"), put_op("c")], Ok(()));
        check(vec![delete_op("a", "c"), delete_op("b", "d")], Ok(()));
        check(vec![delete_op("a", "\0"), put_op("b")], Ok(()));
    }

    #[test]
    fn nested_branches_count_for_their_parent() {
        let duplicate = Err(Error::DuplicateKey);
        check(vec![txn_op(vec![put_op("a")], vec![put_op("a")])], Ok(()));
        check(vec![txn_op(vec![put_op("a")], vec![]), put_op("a")], duplicate);
        check(vec![txn_op(vec![], vec![put_op("a")]), put_op("a")], duplicate);
        check(vec![txn_op(vec![put_op("a")], vec![]), txn_op(vec![], vec![put_op("a")])], duplicate);
        check(vec![delete_op("a", "b"), txn_op(vec![put_op("a")], vec![])], duplicate);
        check(vec![txn_op(vec![delete_op("a", "b")], vec![]), put_op("a")], duplicate);
        check(vec![txn_op(vec![delete_op("a", "")], vec![]), txn_op(vec![put_op("a")], vec![])], duplicate);
        check(vec![txn_op(vec![put_op("a")], vec![]), txn_op(vec![delete_op("a", "")], vec![])], Ok(()));
        check(vec![txn_op(vec![put_op("a"), put_op("a")], vec![])], duplicate);
    }

    #[test]
    fn number_of_operations_is_bounded_through_nesting() {
        let request = TxnRequest { success: vec![put_op("a"), put_op("b")], ..TxnRequest::default() };
        assert_eq!(txn(&request, 2), Ok(()));
        assert_eq!(txn(&request, 1), Err(Error::TooManyOps));
        let nested = TxnRequest { success: vec![txn_op(vec![put_op("a")], vec![])], ..TxnRequest::default() };
        assert_eq!(txn(&nested, 2), Ok(()));
        assert_eq!(txn(&nested, 1), Err(Error::TooManyOps));
    }

    #[test]
    fn deepest_transactions_are_checked_with_little_stack() {
        let check_deepest = || {
            let bottom = TxnRequest { success: vec![put_op("a")], ..TxnRequest::default() };
            let deepest = (1..TXN_DEPTH_MAX).fold(bottom, |inner, level| {
                let nested = op(request_op::Request::RequestTxn(inner));
                let (success, failure) =
                    if level % 2 == 0 { (vec![nested], vec![]) } else { (vec![], vec![nested]) };
                TxnRequest { success, failure, ..TxnRequest::default() }
            });
            assert_eq!(txn(&deepest, TXN_DEPTH_MAX), Ok(()));
            assert_eq!(txn(&deepest, TXN_DEPTH_MAX - 1), Err(Error::TooManyOps));
        };
        // Half of what threads have by default.
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(check_deepest);
        thread.expect("the system has threads").join().expect("nothing fails");
    }

    #[test]
    fn first_fault_in_etcds_order_wins() {
        check(vec![RequestOp { request: None }], Err(Error::KeyNotFound));
        check(vec![put_op(""), put_op("a"), put_op("a")], Err(Error::EmptyKey));
        let compare = TxnRequest { compare: vec![Compare::default()], ..TxnRequest::default() };
        assert_eq!(txn(&compare, 128), Err(Error::EmptyKey));
        assert_eq!(txn(&compare, 0), Err(Error::TooManyOps));
        let both =
            PutRequest { key: "k".into(), value: "v".into(), ignore_value: true, ..PutRequest::default() };
        assert_eq!(put(&both), Err(Error::ValueProvided));
        let both = PutRequest { key: "k".into(), lease: 1, ignore_lease: true, ..PutRequest::default() };
        assert_eq!(put(&both), Err(Error::LeaseProvided));
    }

    #[test]
    fn unknown_sort_numbers_are_rejected() {
        let sorted = |sort_order, sort_target, expected| {
            for count_only in [false, true] {
                let key = "k".into();
                let request =
                    RangeRequest { key, sort_order, sort_target, count_only, ..RangeRequest::default() };
                assert_eq!(range(&request), expected, "{request:?}");
                check(
                    vec![RequestOp { request: Some(request_op::Request::RequestRange(request)) }],
                    expected,
                );
            }
        };
        sorted(2, 4, Ok(()));
        for (sort_order, sort_target) in [(3, 0), (-1, 0), (0, 5), (0, -1)] {
            sorted(sort_order, sort_target, Err(Error::InvalidSortOption));
        }
        let without_key = RangeRequest { sort_order: 9, ..RangeRequest::default() };
        assert_eq!(range(&without_key), Err(Error::EmptyKey), "the key is checked first");
    }

    /// The rules by comparing each with each: what one branch puts and deletes.
    type Naive<'a> = (Vec<&'a [u8]>, Vec<(&'a [u8], &'a [u8])>);

    fn naive(branch: &[RequestOp]) -> Option<Naive<'_>> {
        let (mut puts, mut deletes): Naive<'_> = Naive::default();
        let add = |puts: &mut Vec<_>, deletes: &[(&[u8], &[u8])], key| {
            let is_deleted = deletes.iter().any(|(start, end)| match *end {
                [] => key == *start,
                end => *start <= key && key < end,
            });
            let is_new = !is_deleted && !puts.contains(&key);
            puts.push(key);
            is_new.then_some(())
        };
        for op in branch {
            if let Some(request_op::Request::RequestDeleteRange(delete)) = &op.request {
                deletes.push((&delete.key, &delete.range_end));
            }
        }
        for op in branch {
            if let Some(request_op::Request::RequestTxn(nested)) = &op.request {
                let (success, failure) = (naive(&nested.success)?, naive(&nested.failure)?);
                for key in &success.0 {
                    add(&mut puts, &deletes, key)?;
                }
                for key in failure.0.iter().filter(|key| !success.0.contains(key)) {
                    add(&mut puts, &deletes, key)?;
                }
                deletes.extend(success.1.into_iter().chain(failure.1));
            }
        }
        for op in branch {
            if let Some(request_op::Request::RequestPut(put)) = &op.request {
                add(&mut puts, &deletes, &put.key)?;
            }
        }
        Some((puts, deletes))
    }

    fn any_key() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "aa", "b", "c", "ca", "d", "e", "f", "g", "h"])
    }

    fn any_op() -> impl Strategy<Value = RequestOp> {
        let end = prop::option::of(any_key()).prop_map(Option::unwrap_or_default);
        let leaf = prop_oneof![
            2 => any_key().prop_map(put_op),
            1 => (any_key(), end).prop_map(|(key, end)| delete_op(key, end)),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let branch = || prop::collection::vec(inner.clone(), 0..4);
            (branch(), branch()).prop_map(|(success, failure)| txn_op(success, failure))
        })
    }

    proptest! {
        #[test]
        fn writes_are_those_of_the_naive_rules(branch in prop::collection::vec(any_op(), 0..6)) {
            prop_assert_eq!(Writes::of(&branch).is_ok(), naive(&branch).is_some());
        }
    }
}
