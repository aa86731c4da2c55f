//! Requests of HTTP/1.1: to the JSON gateway, and for pages.

use data_encoding::BASE64;

use super::{
    KEY_DIGITS, MARK, PREFIX, Protocol, Requests, marked, value, write_digits as write_plain_digits,
};
use crate::order::Order;

/// Characters of a key's digits in base64.
const ENCODED_DIGITS: usize = KEY_DIGITS / 3 * 4;
// Only then do the digits have characters of their own.
const _: () = assert!(PREFIX.len().is_multiple_of(3) && KEY_DIGITS.is_multiple_of(3));
/// The page of metrics is longer on every server.
const METRICS_BYTES_MIN: usize = 10_000;

impl Requests {
    /// Puts of the keys `0..keys` through the gateway, each once.
    pub(crate) fn gateway_put(keys: u64, value_bytes: usize) -> Self {
        let value = BASE64.encode(&value(value_bytes));
        let body = format!(r#"{{"key":"{}","value":"{value}"}}"#, encoded_key());
        Self::http1("POST", "/v3/kv/put", &body, Order::each(keys), 1)
    }

    /// Linearizable reads through the gateway of one of the keys `0..keys`, which are there with rows of `row_bytes`.
    pub(crate) fn gateway_range(keys: u64, row_bytes: usize) -> Self {
        let body = format!(r#"{{"key":"{}"}}"#, encoded_key());
        Self::http1("POST", "/v3/kv/range", &body, Order::random(keys), row_bytes / 3 * 4)
    }

    /// Reads of the page of metrics.
    pub(crate) fn metrics() -> Self {
        Self::http1("GET", "/metrics", "", Order::ascending(1), METRICS_BYTES_MIN)
    }

    fn http1(method: &str, path: &'static str, body: &str, order: Order, response_bytes_min: usize) -> Self {
        let message = request(method, path, body);
        let mark = BASE64.encode(&[MARK; KEY_DIGITS]);
        let digits_at = message.windows(ENCODED_DIGITS).position(|window| window == mark.as_bytes());
        Self {
            protocol: Protocol::Http1,
            path,
            message,
            digits_at: digits_at.into_iter().collect(),
            n_digits: KEY_DIGITS,
            keys_each: 1,
            lease_at: None,
            stamp_at: None,
            order,
            response_bytes_min,
            streamed: false,
            token: None,
        }
    }
}

/// A whole request.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Writes a number as the digits of a key, in base64, to the front of `out`.
pub(super) fn write_digits(out: &mut [u8], number: u64) {
    let mut digits = [0; KEY_DIGITS];
    write_plain_digits(&mut digits, number);
    BASE64.encode_mut(&digits, &mut out[..ENCODED_DIGITS]);
}

/// A key whose digits are to be filled in.
fn encoded_key() -> String {
    BASE64.encode(marked(PREFIX, "", KEY_DIGITS).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::requests::key;

    /// The member of a request's body with this name, decoded.
    fn member(request: &[u8], name: &str) -> Vec<u8> {
        let (head, body) = str::from_utf8(request).unwrap().split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        BASE64.decode(body[name].as_str().unwrap().as_bytes()).unwrap()
    }

    #[test]
    fn keys_are_those_of_the_other_requests() {
        let mut puts = Requests::gateway_put(1000, 256);
        for number in [0, 1, 999, 123_456_789_012] {
            let put = puts.numbered(number, Instant::now());
            assert_eq!(member(put, "key"), key(number).as_bytes());
            assert_eq!(member(put, "value").len(), 256);
        }
        let range = Requests::gateway_range(1000, 274).numbered(7, Instant::now()).to_vec();
        assert_eq!(member(&range, "key"), key(7).as_bytes());
    }
}
