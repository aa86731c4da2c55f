//! Requests about keys that lie beside those of other loads: they are written many at a time, listed and counted.

use ferretcd_api_proto::etcdserverpb::{PutRequest, RangeRequest, RequestOp, TxnRequest, request_op};

use super::{KEY_DIGITS, LISTED_PREFIX, LISTED_PREFIX_END, Requests, marked, value};
use crate::order::Order;

/// Keys of a page.
pub(crate) const PAGE_KEYS: u64 = 500;
/// Servers take no more operations in a transaction.
const BATCH_KEYS_MAX: u64 = 128;
/// Bytes of keys and values that one request writes at most: it has to fit into the window of a stream, which is 64 KiB
/// where a server does not widen it.
const BATCH_BYTES_MAX: usize = 60_000;
/// What an operation takes besides its key and value, at most.
const OPERATION_BYTES: usize = 24;

/// How a list is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// One message for all rows.
    Range,
    /// A stream of messages.
    RangeStream,
}

impl Requests {
    /// Transactions that together put the listed keys `0..keys`, each once.
    pub(crate) fn put_listed_in_batches(keys: u64, value_bytes: usize) -> Self {
        let row_bytes = listed_row_bytes(value_bytes) + OPERATION_BYTES;
        let most = BATCH_KEYS_MAX.min((BATCH_BYTES_MAX / row_bytes) as u64).max(1);
        let keys_each = (1..=most).rev().find(|each| keys.is_multiple_of(*each)).expect("1 divides all");
        let value = value(value_bytes);
        let put = || RequestOp { request: Some(request_op::Request::RequestPut(put_request(value.clone()))) };
        let request =
            TxnRequest { success: (0..keys_each).map(|_| put()).collect(), ..TxnRequest::default() };
        let requests =
            Self::new("/etcdserverpb.KV/Txn", &request, KEY_DIGITS, Order::each(keys / keys_each), 0);
        Self { keys_each, ..requests }
    }

    /// Puts of the listed keys `0..keys`, each again and again.
    pub(crate) fn put_listed(keys: u64, value_bytes: usize) -> Self {
        let request = put_request(value(value_bytes));
        Self::new("/etcdserverpb.KV/Put", &request, KEY_DIGITS, Order::each(keys), 0)
    }

    /// Lists of the listed keys `0..keys`, which are there with values of `value_bytes`.
    pub(crate) fn list_first(method: Method, keys: u64, value_bytes: usize) -> Self {
        let request = RangeRequest {
            key: listed_key(0).into(),
            range_end: listed_key(keys).into(),
            ..RangeRequest::default()
        };
        let path = match method {
            Method::Range => "/etcdserverpb.KV/Range",
            Method::RangeStream => "/etcdserverpb.KV/RangeStream",
        };
        let bytes = usize::try_from(keys).expect("keys fit into memory") * listed_row_bytes(value_bytes);
        Self::new(path, &request, 0, Order::ascending(1), bytes)
    }

    /// One page after the other of the listed keys `0..keys`, whose number is a multiple of [`PAGE_KEYS`]; at a revision,
    /// or with 0 at the one of the moment.
    pub(crate) fn pages(keys: u64, value_bytes: usize, revision: i64) -> Self {
        let request = RangeRequest {
            key: marked(LISTED_PREFIX, "", KEY_DIGITS).into(),
            range_end: LISTED_PREFIX_END.into(),
            limit: PAGE_KEYS as i64,
            revision,
            ..RangeRequest::default()
        };
        let bytes = PAGE_KEYS as usize * listed_row_bytes(value_bytes);
        let order = Order::ascending(keys / PAGE_KEYS);
        let requests = Self::new("/etcdserverpb.KV/Range", &request, KEY_DIGITS, order, bytes);
        Self { keys_each: PAGE_KEYS, ..requests }
    }

    /// Counts of all listed keys, at a revision, or with 0 at the one of the moment.
    pub(crate) fn count_listed(revision: i64) -> Self {
        let request = RangeRequest {
            key: LISTED_PREFIX.into(),
            range_end: LISTED_PREFIX_END.into(),
            count_only: true,
            revision,
            ..RangeRequest::default()
        };
        Self::new("/etcdserverpb.KV/Range", &request, 0, Order::ascending(1), 0)
    }

    /// The number of different requests that are about `keys` keys together.
    pub(crate) fn n_for(&self, keys: u64) -> u64 {
        keys / self.keys_each
    }
}

/// The listed key with a number.
pub(crate) fn listed_key(number: u64) -> String {
    format!("{LISTED_PREFIX}{number:0KEY_DIGITS$}")
}

/// What a row takes in a response at least.
fn listed_row_bytes(value_bytes: usize) -> usize {
    LISTED_PREFIX.len() + KEY_DIGITS + value_bytes
}

fn put_request(value: Vec<u8>) -> PutRequest {
    let key = marked(LISTED_PREFIX, "", KEY_DIGITS).into();
    PutRequest { key, value: value.into(), ..PutRequest::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Instant;

    use prost::Message as _;

    use super::*;

    #[test]
    fn batches_put_each_key_once_and_fit_into_a_window() {
        for (keys, value_bytes, n_each) in [(100_000, 1024, 50), (1_280, 8, 128), (7, 8, 7), (131, 8, 1)] {
            let mut requests = Requests::put_listed_in_batches(keys, value_bytes);
            assert_eq!(requests.n_for(keys), keys / n_each, "{keys} keys of {value_bytes} bytes");
            assert!(requests.message_bytes() < 65_535);
            let mut written = BTreeSet::new();
            for _ in 0..requests.n_for(keys) {
                let request = TxnRequest::decode(&requests.next(Instant::now())[5..]).unwrap();
                assert_eq!(request.success.len() as u64, n_each);
                for operation in request.success {
                    let Some(request_op::Request::RequestPut(put)) = operation.request else { panic!() };
                    assert_eq!(put.value.len(), value_bytes);
                    written.insert(put.key);
                }
            }
            assert_eq!(written.len() as u64, keys);
            assert_eq!(written.last().unwrap(), listed_key(keys - 1).as_bytes());
        }
    }

    #[test]
    fn pages_begin_where_the_ones_before_have_ended() {
        let mut requests = Requests::pages(1500, 1024, 7);
        assert_eq!(requests.n_for(1500), 3);
        for first in [0, 500, 1000, 0] {
            let request = RangeRequest::decode(&requests.next(Instant::now())[5..]).unwrap();
            assert_eq!(request.key, listed_key(first));
            assert_eq!((request.limit, request.revision), (500, 7));
        }
    }

    #[test]
    fn a_list_ends_before_the_first_key_that_is_not_listed() {
        let mut requests = Requests::list_first(Method::RangeStream, 5000, 1024);
        let request = RangeRequest::decode(&requests.next(Instant::now())[5..]).unwrap();
        assert_eq!((request.key, request.range_end), (listed_key(0).into(), listed_key(5000).into()));
        assert_eq!(requests.response_bytes_min(), 5000 * (1024 + 17));
    }
}
