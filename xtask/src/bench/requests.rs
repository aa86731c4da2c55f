//! What is asked of the servers, as bytes.
//!
//! A request is encoded once. Keys are decimal numbers of a fixed width behind a common prefix, so the next
//! request is the same bytes with other digits.

use std::time::Instant;

use api_proto::etcdserverpb::{
    Compare, PutRequest, RangeRequest, RequestOp, TxnRequest, compare, request_op,
};

use super::stamp::{self, STAMP_BYTES};

/// Where all keys of a run begin.
pub(super) const PREFIX: &str = "bench/";
/// The end of the range of all keys with [`PREFIX`].
pub(super) const PREFIX_END: &str = "bench0";

/// Keys that one list returns.
const LIST_KEYS: u64 = 1000;
pub(super) const KEY_DIGITS: usize = 12;
/// Keys with these leading digits in common are one list.
const LIST_DIGITS: usize = KEY_DIGITS - 3;
/// Stands in an encoded request where the digits of the key belong. Not a digit and not in values.
const MARK: u8 = b'#';
/// Stands where the stamp belongs.
const STAMP_MARK: u8 = b'@';

/// An endless sequence of requests that differ in the digits of their key.
#[derive(Debug)]
pub(super) struct Requests {
    path: &'static str,
    /// The message with gRPC's five bytes in front.
    message: Vec<u8>,
    /// Where in `message` the digits of the key stand.
    digits_at: Vec<usize>,
    n_digits: usize,
    /// Where the value's stamp stands, if it has one.
    stamp_at: Option<usize>,
    order: Order,
    answer_bytes_min: usize,
}

#[derive(Debug)]
enum Order {
    /// Every number below `of` once, far from in order, then again. `stride` has no factor in common with `of`.
    Each { of: u64, stride: u64, last: u64 },
    /// Numbers below `of` by xorshift; the same ones in each run.
    Random { of: u64, state: u64 },
}

impl Order {
    fn next(&mut self) -> u64 {
        match self {
            Order::Each { of, stride, last } => {
                *last = (*last + *stride) % *of;
                *last
            }
            Order::Random { of, state } => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                *state % *of
            }
        }
    }

    /// Steps of about the golden ratio of the whole spread numbers most evenly, as in Fibonacci hashing.
    fn each(of: u64) -> Self {
        let golden = of as f64 * 0.618_033_988_75;
        let stride =
            (golden as u64 + 1..).find(|stride| gcd(*stride, of) == 1).expect("a prime is among them");
        Order::Each { of, stride, last: 0 }
    }

    fn random(of: u64) -> Self {
        Order::Random { of, state: 0x9E37_79B9_7F4A_7C15 }
    }
}

impl Requests {
    /// Puts of the keys `0..keys`, each once.
    pub(super) fn put(keys: u64, value_bytes: usize) -> Self {
        let order = Order::each(keys);
        Self::new("/etcdserverpb.KV/Put", &put_request(value(value_bytes)), KEY_DIGITS, order, 0)
    }

    /// Puts of the keys `0..keys`, each again and again, with values that begin with the [`stamp`] of the time when
    /// they were sent.
    pub(super) fn stamped(keys: u64, value_bytes: usize) -> Self {
        let mut value = value(value_bytes.max(STAMP_BYTES));
        value[..STAMP_BYTES].fill(STAMP_MARK);
        Self::new("/etcdserverpb.KV/Put", &put_request(value), KEY_DIGITS, Order::each(keys), 0)
    }

    /// Linearizable reads of a key, whether it exists or not.
    pub(super) fn probe() -> Self {
        Self::range(false, 1, 0)
    }

    pub(super) fn create(value_bytes: usize) -> Self {
        let absent = Compare {
            result: compare::CompareResult::Equal.into(),
            target: compare::CompareTarget::Create.into(),
            key: marked("", KEY_DIGITS).into(),
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

    pub(super) fn range(serializable: bool, keys: u64, row_bytes: usize) -> Self {
        let request = RangeRequest { serializable, ..range_request() };
        Self::new("/etcdserverpb.KV/Range", &request, KEY_DIGITS, Order::random(keys), row_bytes)
    }

    pub(super) fn list(keys: u64, row_bytes: usize) -> Self {
        let request = RangeRequest {
            key: marked("", LIST_DIGITS).into(),
            // The character after the last digit: what lies between begins with the same digits.
            range_end: marked(":", LIST_DIGITS).into(),
            ..RangeRequest::default()
        };
        // A last list that is not full would answer with less.
        let (lists, listed) = if keys < LIST_KEYS { (1, keys) } else { (keys / LIST_KEYS, LIST_KEYS) };
        let answer_bytes_min = usize::try_from(listed).expect("at most 1000") * row_bytes;
        Self::new("/etcdserverpb.KV/Range", &request, LIST_DIGITS, Order::random(lists), answer_bytes_min)
    }

    fn new(
        path: &'static str,
        request: &impl prost::Message,
        n_digits: usize,
        order: Order,
        answer_bytes_min: usize,
    ) -> Self {
        let length = u32::try_from(request.encoded_len()).expect("a request of the bench is small");
        let mut message = vec![0];
        message.extend_from_slice(&length.to_be_bytes());
        request.encode(&mut message).expect("a vector takes as much as it is given");
        let digits_at = message
            .windows(n_digits)
            .enumerate()
            .filter(|(_, window)| window.iter().all(|byte| *byte == MARK))
            .map(|(at, _)| at)
            .collect();
        let stamp_at = message.windows(STAMP_BYTES).position(|window| window == [STAMP_MARK; STAMP_BYTES]);
        Self { path, message, digits_at, n_digits, stamp_at, order, answer_bytes_min }
    }

    /// The method's path, the same for all requests.
    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    /// Bytes of each message, its five-byte head included.
    pub(super) fn message_bytes(&self) -> usize {
        self.message.len()
    }

    /// A message shorter than this cannot be the right answer. The message's head is not counted.
    pub(super) fn answer_bytes_min(&self) -> usize {
        self.answer_bytes_min
    }

    /// The next message, to be copied before the one after it is asked for. `now` goes into its stamp.
    pub(super) fn next(&mut self, now: Instant) -> &[u8] {
        let mut number = self.order.next();
        let mut digits = [b'0'; KEY_DIGITS];
        for digit in digits[..self.n_digits].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        if let Some(at) = self.stamp_at {
            self.message[at..at + STAMP_BYTES].copy_from_slice(&stamp::write(now));
        }
        for at in &self.digits_at {
            self.message[*at..*at + self.n_digits].copy_from_slice(&digits[..self.n_digits]);
        }
        &self.message
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The key with a number.
pub(super) fn key(number: u64) -> String {
    format!("{PREFIX}{number:0KEY_DIGITS$}")
}

/// The number of a key; `None` when it is not of the bench.
pub(super) fn key_number(key: &[u8]) -> Option<u64> {
    let digits: &[u8; KEY_DIGITS] = key.strip_prefix(PREFIX.as_bytes())?.try_into().ok()?;
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

fn put_request(value: Vec<u8>) -> PutRequest {
    PutRequest { key: marked("", KEY_DIGITS).into(), value: value.into(), ..PutRequest::default() }
}

fn range_request() -> RangeRequest {
    RangeRequest { key: marked("", KEY_DIGITS).into(), ..RangeRequest::default() }
}

/// A key whose digits are to be filled in.
fn marked(end: &str, n_digits: usize) -> String {
    let digits = char::from(MARK).to_string().repeat(n_digits);
    format!("{PREFIX}{digits}{end}")
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
