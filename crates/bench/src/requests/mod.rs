//! The requests, as bytes.
//!
//! A request is encoded once. Keys are decimal numbers of a fixed width behind a common prefix, so the next
//! request is the same bytes with other digits.

mod http1;
mod lists;
mod users;

use std::time::Instant;

use ferretcd_api_proto::etcdserverpb::{
    Compare, LeaseGrantRequest, LeaseKeepAliveRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    compare, request_op,
};

pub(crate) use self::http1::request as http1_request;
pub(crate) use self::lists::{Method, PAGE_KEYS, listed_key};
pub(crate) use self::users::PASSWORD;
use crate::order::Order;
use crate::stamp::{self, STAMP_BYTES};

/// Where all keys of a run begin.
pub(crate) const PREFIX: &str = "bench/";
/// The end of the range of all keys with [`PREFIX`].
pub(crate) const PREFIX_END: &str = "bench0";

/// Where the keys begin that are attached to leases, and the end of their range. They don't count as the run's keys,
/// which are never deleted.
pub(crate) const LEASED_PREFIX: &str = "lease/";
pub(crate) const LEASED_PREFIX_END: &str = "lease0";

/// Where the keys begin that are listed and counted, and the end of their range. Puts beside lists must not change them.
pub(crate) const LISTED_PREFIX: &str = "list/";
pub(crate) const LISTED_PREFIX_END: &str = "list0";

/// Added to the numbers of leases, so that all ids take the same bytes.
const LEASE_ID_BASE: i64 = 1 << 55;
/// Bytes of these ids.
const LEASE_ID_BYTES: usize = 8;

/// Keys that one list returns.
const LIST_KEYS: u64 = 1000;
pub(crate) const KEY_DIGITS: usize = 12;
/// Keys with these leading digits in common are one list.
const LIST_DIGITS: usize = KEY_DIGITS - 3;
/// Stands in an encoded request where the digits of the key belong. Not a digit and not in values.
const MARK: u8 = b'#';
/// Stands where the stamp belongs.
const STAMP_MARK: u8 = b'@';

/// How requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    /// One at a time on a connection, keys and values in base64.
    Http1,
}

/// An endless sequence of requests that differ in a number: the digits of their key, the id of their lease, or both.
#[derive(Debug)]
pub(crate) struct Requests {
    protocol: Protocol,
    path: &'static str,
    /// The message with gRPC's five bytes in front, or the whole request of HTTP/1.1.
    message: Vec<u8>,
    /// Where in `message` the digits of the key stand.
    digits_at: Vec<usize>,
    n_digits: usize,
    /// How many keys a request is about: those from its number times this on. Each place holds the next one of them,
    /// so that with one key all hold the same.
    keys_each: u64,
    /// Where the lease's id stands, if there is one that differs.
    lease_at: Option<usize>,
    /// Where the value's stamp stands, if it has one.
    stamp_at: Option<usize>,
    order: Order,
    response_bytes_min: usize,
    streamed: bool,
    /// Of the user that sends them.
    token: Option<String>,
}

impl Requests {
    /// Puts of the keys `0..keys`, each once.
    pub(crate) fn put(keys: u64, value_bytes: usize) -> Self {
        let order = Order::each(keys);
        Self::new("/etcdserverpb.KV/Put", &put_request(value(value_bytes)), KEY_DIGITS, order, 0)
    }

    /// Puts of the keys `0..keys`, each again and again, with values that begin with the [`stamp`] of the time when
    /// they were sent.
    pub(crate) fn stamped(keys: u64, value_bytes: usize) -> Self {
        let mut value = value(value_bytes.max(STAMP_BYTES));
        value[..STAMP_BYTES].fill(STAMP_MARK);
        Self::new("/etcdserverpb.KV/Put", &put_request(value), KEY_DIGITS, Order::each(keys), 0)
    }

    /// Grants of the leases `0..leases`, each once, for `ttl` seconds.
    pub(crate) fn grant(leases: u64, ttl: u64) -> Self {
        let ttl = i64::try_from(ttl).expect("a lease lives at most a day");
        let request = LeaseGrantRequest { ttl, id: LEASE_ID_BASE };
        // The tag and the id; an error response has neither.
        let response_bytes_min = 1 + LEASE_ID_BYTES;
        Self::new("/etcdserverpb.Lease/LeaseGrant", &request, 0, Order::each(leases), response_bytes_min)
            .with_leases()
    }

    /// Puts of the leased keys `0..keys`, each once and attached to the lease with its number.
    pub(crate) fn attach(keys: u64, value_bytes: usize) -> Self {
        Self::attach_to_one(keys, value_bytes).with_leases()
    }

    /// Puts of the leased keys `0..keys`, each once and attached to lease 0.
    pub(crate) fn attach_to_one(keys: u64, value_bytes: usize) -> Self {
        let key = marked(LEASED_PREFIX, "", KEY_DIGITS).into();
        let request = PutRequest { key, lease: lease_id(0), ..put_request(value(value_bytes)) };
        Self::new("/etcdserverpb.KV/Put", &request, KEY_DIGITS, Order::each(keys), 0)
    }

    /// Renewals of the leases whose number [`Self::numbered`] is given, on a stream for each.
    pub(crate) fn keep_alive() -> Self {
        let request = LeaseKeepAliveRequest { id: LEASE_ID_BASE };
        let requests = Self::new("/etcdserverpb.Lease/LeaseKeepAlive", &request, 0, Order::each(1), 0);
        Self { streamed: true, ..requests.with_leases() }
    }

    /// Linearizable reads of a key, whether it exists or not.
    pub(crate) fn probe() -> Self {
        Self::range(false, 1, 0)
    }

    pub(crate) fn create(value_bytes: usize) -> Self {
        let absent = Compare {
            result: compare::CompareResult::Equal.into(),
            target: compare::CompareTarget::Create.into(),
            key: marked(PREFIX, "", KEY_DIGITS).into(),
            target_union: Some(compare::TargetUnion::CreateRevision(0)),
            ..Compare::default()
        };
        let put =
            RequestOp { request: Some(request_op::Request::RequestPut(put_request(value(value_bytes)))) };
        let get = RequestOp { request: Some(request_op::Request::RequestRange(range_request())) };
        let request = TxnRequest { compare: vec![absent], success: vec![put], failure: vec![get] };
        let order = Order::each(10_u64.pow(KEY_DIGITS as u32));
        Self::new("/etcdserverpb.KV/Txn", &request, KEY_DIGITS, order, 0)
    }

    pub(crate) fn range(serializable: bool, keys: u64, row_bytes: usize) -> Self {
        let request = RangeRequest { serializable, ..range_request() };
        Self::new("/etcdserverpb.KV/Range", &request, KEY_DIGITS, Order::random(keys), row_bytes)
    }

    pub(crate) fn list(keys: u64, row_bytes: usize) -> Self {
        let request = RangeRequest {
            key: marked(PREFIX, "", LIST_DIGITS).into(),
            // The character after the last digit: what lies between begins with the same digits.
            range_end: marked(PREFIX, ":", LIST_DIGITS).into(),
            ..RangeRequest::default()
        };
        // A last list that is not full would give a shorter response.
        let (lists, listed) = if keys < LIST_KEYS { (1, keys) } else { (keys / LIST_KEYS, LIST_KEYS) };
        let response_bytes_min = usize::try_from(listed).expect("at most 1000") * row_bytes;
        Self::new("/etcdserverpb.KV/Range", &request, LIST_DIGITS, Order::random(lists), response_bytes_min)
    }

    fn new(
        path: &'static str,
        request: &impl prost::Message,
        n_digits: usize,
        order: Order,
        response_bytes_min: usize,
    ) -> Self {
        let length = u32::try_from(request.encoded_len()).expect("a request of the bench is small");
        let mut message = vec![0];
        message.extend_from_slice(&length.to_be_bytes());
        request.encode(&mut message).expect("a vector takes as much as it is given");
        // Without digits there is nothing to find.
        let windows = message.windows(n_digits.max(1)).enumerate();
        let digits_at =
            windows.filter(|(_, window)| window.iter().all(|byte| *byte == MARK)).map(|(at, _)| at).collect();
        let stamp_at = message.windows(STAMP_BYTES).position(|window| window == [STAMP_MARK; STAMP_BYTES]);
        Self {
            protocol: Protocol::Grpc,
            path,
            message,
            digits_at,
            n_digits,
            keys_each: 1,
            lease_at: None,
            stamp_at,
            order,
            response_bytes_min,
            streamed: false,
            token: None,
        }
    }

    /// Sends them as the user of a token from now on, or as no user.
    pub(crate) fn set_token(&mut self, token: Option<&str>) {
        self.token = token.map(str::to_owned);
    }

    /// The same with ids of leases that differ.
    fn with_leases(self) -> Self {
        let id = varint(lease_id(0));
        let lease_at = self.message.windows(LEASE_ID_BYTES).position(|window| window == id);
        debug_assert!(lease_at.is_some());
        Self { lease_at, ..self }
    }

    /// Do they go over streams that stay open, one for each number, instead of being calls of their own?
    pub(crate) fn are_streamed(&self) -> bool {
        self.streamed
    }

    /// The method's path, the same for all requests.
    pub(crate) fn path(&self) -> &'static str {
        self.path
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Bytes of each message, its five-byte head included.
    pub(crate) fn message_bytes(&self) -> usize {
        self.message.len()
    }

    /// A message or a body shorter than this cannot be the right response. The message's head is not counted.
    pub(crate) fn response_bytes_min(&self) -> usize {
        self.response_bytes_min
    }

    /// Leaves out the next `n` requests.
    pub(crate) fn skip(&mut self, n: u64) {
        self.order.skip(n);
    }

    /// The next message, to be copied before the next call. `now` goes into its stamp.
    pub(crate) fn next(&mut self, now: Instant) -> &[u8] {
        let number = self.order.next();
        self.numbered(number, now)
    }

    /// The message with a number, as [`Self::next`].
    pub(crate) fn numbered(&mut self, number: u64, now: Instant) -> &[u8] {
        if let Some(at) = self.lease_at {
            self.message[at..at + LEASE_ID_BYTES].copy_from_slice(&varint(lease_id(number)));
        }
        if let Some(at) = self.stamp_at {
            self.message[at..at + STAMP_BYTES].copy_from_slice(&stamp::write(now));
        }
        let first = number * self.keys_each;
        for (nth, at) in (0..).zip(&self.digits_at) {
            let number = first + nth.min(self.keys_each - 1);
            match self.protocol {
                Protocol::Grpc => write_digits(&mut self.message[*at..*at + self.n_digits], number),
                Protocol::Http1 => http1::write_digits(&mut self.message[*at..], number),
            }
        }
        &self.message
    }
}

fn write_digits(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The id of the lease with a number, which is less than 2⁵⁵.
pub(crate) fn lease_id(number: u64) -> i64 {
    LEASE_ID_BASE + i64::try_from(number).expect("there are not as many leases")
}

/// An id as it stands in a message: seven bits in each byte, the lowest first.
fn varint(id: i64) -> [u8; LEASE_ID_BYTES] {
    std::array::from_fn(|at| {
        let more = if at + 1 < LEASE_ID_BYTES { 0x80 } else { 0 };
        (id >> (7 * at)) as u8 & 0x7f | more
    })
}

/// The key with a number.
pub(crate) fn key(number: u64) -> String {
    format!("{PREFIX}{number:0KEY_DIGITS$}")
}

/// The number of a key; `None` when it is not of the bench.
pub(crate) fn key_number(key: &[u8]) -> Option<u64> {
    let digits: &[u8; KEY_DIGITS] = key.strip_prefix(PREFIX.as_bytes())?.try_into().ok()?;
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

fn put_request(value: Vec<u8>) -> PutRequest {
    PutRequest { key: marked(PREFIX, "", KEY_DIGITS).into(), value: value.into(), ..PutRequest::default() }
}

fn range_request() -> RangeRequest {
    RangeRequest { key: marked(PREFIX, "", KEY_DIGITS).into(), ..RangeRequest::default() }
}

/// A key whose digits are to be filled in.
fn marked(prefix: &str, end: &str, n_digits: usize) -> String {
    let digits = char::from(MARK).to_string().repeat(n_digits);
    format!("{prefix}{digits}{end}")
}

/// Letters without a visible pattern.
fn value(length: usize) -> Vec<u8> {
    let mut letters = Order::random(26);
    (0..length).map(|_| b'a' + letters.next() as u8).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn decoded<M: prost::Message + Default>(requests: &mut Requests) -> M {
        let bytes = requests.next(Instant::now());
        assert_eq!(bytes[0], 0);
        assert_eq!(bytes[1..5], u32::try_from(bytes.len() - 5).unwrap().to_be_bytes());
        M::decode(&bytes[5..]).unwrap()
    }

    #[test]
    fn puts_write_each_key_once() {
        for keys in [1, 10, 999, 1000, 1024] {
            let mut requests = Requests::put(keys, 256);
            let written: BTreeSet<_> = (0..keys).map(|_| decoded::<PutRequest>(&mut requests).key).collect();
            assert_eq!(written.len() as u64, keys);
            let last = format!("{PREFIX}{:0KEY_DIGITS$}", keys - 1);
            assert_eq!(written.last().map(|key| key.as_ref()), Some(last.as_bytes()));
        }
    }

    #[test]
    fn stamps_and_keys_are_read_as_they_were_written() {
        for (value_bytes, expected) in [(0, 8), (8, 8), (256, 256)] {
            let mut requests = Requests::stamped(10, value_bytes);
            let now = Instant::now();
            for _ in 0..20 {
                let request = <PutRequest as prost::Message>::decode(&requests.next(now)[5..]).unwrap();
                assert_eq!(request.value.len(), expected);
                assert_eq!(stamp::read(&request.value), Some(stamp::nanos(now)));
                assert!(key_number(&request.key).unwrap() < 10);
            }
        }
        assert_eq!(key_number(key(123).as_bytes()), Some(123));
        for other in ["bench/", "bench/00000000000a", "bench/0000000000123", "Bench/000000000123"] {
            assert_eq!(key_number(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn each_lease_is_granted_and_gets_a_key() {
        let (mut grants, mut puts) = (Requests::grant(300, 60), Requests::attach(300, 256));
        let granted: BTreeSet<_> = (0..300).map(|_| decoded::<LeaseGrantRequest>(&mut grants).id).collect();
        assert_eq!((granted.len(), granted.last()), (300, Some(&lease_id(299))));
        assert_eq!(decoded::<LeaseGrantRequest>(&mut grants).ttl, 60);
        let attached: BTreeSet<_> = (0..300)
            .map(|_| {
                let put: PutRequest = decoded(&mut puts);
                let number = u64::try_from(put.lease - LEASE_ID_BASE).unwrap();
                assert_eq!(put.key, format!("{LEASED_PREFIX}{number:0KEY_DIGITS$}"));
                put.lease
            })
            .collect();
        assert_eq!(attached, granted);

        let mut puts = Requests::attach_to_one(300, 256);
        let mut keys = BTreeSet::new();
        for _ in 0..300 {
            let put: PutRequest = decoded(&mut puts);
            assert_eq!(put.lease, lease_id(0));
            keys.insert(put.key);
        }
        assert_eq!(keys.len(), 300);
    }

    #[test]
    fn renewals_name_their_lease() {
        let mut requests = Requests::keep_alive();
        for number in [0, 1, 127, 128, 1_000_000, (1 << 55) - 1] {
            let bytes = requests.numbered(number, Instant::now());
            let request = <LeaseKeepAliveRequest as prost::Message>::decode(&bytes[5..]).unwrap();
            assert_eq!(request.id, lease_id(number));
        }
    }

    #[test]
    fn lists_lie_within_the_keys_and_hold_a_thousand() {
        let keys: BTreeSet<_> = (0..5500).map(|number| format!("{PREFIX}{number:0KEY_DIGITS$}")).collect();
        let mut requests = Requests::list(5500, 256);
        for _ in 0..50 {
            let request: RangeRequest = decoded(&mut requests);
            let [from, to] =
                [request.key, request.range_end].map(|key| String::from_utf8(key.to_vec()).unwrap());
            assert_eq!(keys.range(from..to).count(), 1000);
        }
    }

    #[test]
    fn a_transaction_has_one_key_throughout() {
        let request: TxnRequest = decoded(&mut Requests::create(16));
        let key = &request.compare[0].key;
        assert!(key.starts_with(PREFIX.as_bytes()) && !key.contains(&MARK), "{key:?}");
        let Some(request_op::Request::RequestPut(put)) = &request.success[0].request else {
            panic!("{request:?}");
        };
        assert_eq!((put.key.as_ref(), put.value.len()), (key.as_ref(), 16));
    }
}
