//! What is asked of the servers: the workloads and their requests as bytes.
//!
//! A request is encoded once. Keys are decimal numbers of a fixed width behind a common prefix, so the next
//! request is the same bytes with other digits.

use api_proto::etcdserverpb::{
    Compare, PutRequest, RangeRequest, RequestOp, TxnRequest, compare, request_op,
};

/// Where all keys of a run begin.
pub(super) const PREFIX: &str = "bench/";
/// The end of the range of all keys with [`PREFIX`].
pub(super) const PREFIX_END: &str = "bench0";

/// Keys that one list returns.
const LIST_KEYS: u64 = 1000;
const KEY_DIGITS: usize = 12;
/// Keys with these leading digits in common are one list.
const LIST_DIGITS: usize = KEY_DIGITS - 3;
/// Stands in an encoded request where the digits of the key belong. Not a digit and not in values.
const MARK: u8 = b'#';

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Workload {
    /// Each request writes a key of its own.
    Put,
    /// Linearizable read of one key.
    Range,
    /// Serializable read of one key.
    RangeSerializable,
    /// Linearizable read of 1000 neighbouring keys.
    List,
    /// Creates a key if it does not exist, which holds each time.
    Txn,
    /// Many keys, then memory, disk and the time to start again.
    Memory,
}

impl Workload {
    pub(super) const ALL: [Workload; 6] = [
        Workload::Put,
        Workload::Range,
        Workload::RangeSerializable,
        Workload::List,
        Workload::Txn,
        Workload::Memory,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Workload::Put => "put",
            Workload::Range => "range",
            Workload::RangeSerializable => "range-serializable",
            Workload::List => "list",
            Workload::Txn => "txn",
            Workload::Memory => "memory",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| workload.name() == name)
    }

    /// Does it leave the store as it found it?
    pub(super) fn reads_only(self) -> bool {
        matches!(self, Workload::Range | Workload::RangeSerializable | Workload::List)
    }

    /// Requests of this load against a store of the keys `0..keys`.
    pub(super) fn requests(self, keys: u64, value_bytes: usize) -> Requests {
        let row_bytes = PREFIX.len() + KEY_DIGITS + value_bytes;
        match self {
            Workload::Put | Workload::Memory => Requests::put(10_u64.pow(KEY_DIGITS as u32), value_bytes),
            Workload::Txn => Requests::create(value_bytes),
            Workload::Range => Requests::range(false, keys, row_bytes),
            Workload::RangeSerializable => Requests::range(true, keys, row_bytes),
            Workload::List => Requests::list(keys, row_bytes),
        }
    }
}

/// An endless sequence of requests that differ in the digits of their key.
#[derive(Debug)]
pub(super) struct Requests {
    path: &'static str,
    /// The message with gRPC's five bytes in front.
    message: Vec<u8>,
    /// Where in `message` the digits of the key stand.
    digits_at: Vec<usize>,
    n_digits: usize,
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
        Self::new("/etcdserverpb.KV/Put", &put_request(value_bytes), KEY_DIGITS, order, 0)
    }

    /// Linearizable reads of a key, whether it exists or not.
    pub(super) fn probe() -> Self {
        Self::range(false, 1, 0)
    }

    fn create(value_bytes: usize) -> Self {
        let absent = Compare {
            result: compare::CompareResult::Equal.into(),
            target: compare::CompareTarget::Create.into(),
            key: marked("", KEY_DIGITS).into(),
            target_union: Some(compare::TargetUnion::CreateRevision(0)),
            ..Compare::default()
        };
        let put = RequestOp { request: Some(request_op::Request::RequestPut(put_request(value_bytes))) };
        let get = RequestOp { request: Some(request_op::Request::RequestRange(range_request())) };
        let request = TxnRequest { compare: vec![absent], success: vec![put], failure: vec![get] };
        let order = Order::each(10_u64.pow(KEY_DIGITS as u32));
        Self::new("/etcdserverpb.KV/Txn", &request, KEY_DIGITS, order, 0)
    }

    fn range(serializable: bool, keys: u64, row_bytes: usize) -> Self {
        let request = RangeRequest { serializable, ..range_request() };
        Self::new("/etcdserverpb.KV/Range", &request, KEY_DIGITS, Order::random(keys), row_bytes)
    }

    fn list(keys: u64, row_bytes: usize) -> Self {
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
        Self { path, message, digits_at, n_digits, order, answer_bytes_min }
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

    /// The next message, to be copied before the one after it is asked for.
    pub(super) fn next(&mut self) -> &[u8] {
        let mut number = self.order.next();
        let mut digits = [b'0'; KEY_DIGITS];
        for digit in digits[..self.n_digits].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
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

fn put_request(value_bytes: usize) -> PutRequest {
    PutRequest {
        key: marked("", KEY_DIGITS).into(),
        value: value(value_bytes).into(),
        ..PutRequest::default()
    }
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
        let bytes = requests.next();
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
    fn lists_lie_within_the_keys_and_hold_a_thousand() {
        let keys: BTreeSet<_> = (0..5500).map(|number| format!("{PREFIX}{number:0KEY_DIGITS$}")).collect();
        let mut requests = Workload::List.requests(5500, 256);
        for _ in 0..50 {
            let request: RangeRequest = decoded(&mut requests);
            let [from, to] =
                [request.key, request.range_end].map(|key| String::from_utf8(key.to_vec()).unwrap());
            assert_eq!(keys.range(from..to).count(), 1000);
        }
    }

    #[test]
    fn a_transaction_has_one_key_throughout() {
        let request: TxnRequest = decoded(&mut Workload::Txn.requests(1, 16));
        let key = &request.compare[0].key;
        assert!(key.starts_with(PREFIX.as_bytes()) && !key.contains(&MARK), "{key:?}");
        let Some(request_op::Request::RequestPut(put)) = &request.success[0].request else {
            panic!("{request:?}");
        };
        assert_eq!((put.key.as_ref(), put.value.len()), (key.as_ref(), 16));
    }
}
