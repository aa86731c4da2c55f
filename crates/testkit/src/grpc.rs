//! Messages as they are in the bodies of gRPC requests and responses, for tests that look at the wire itself.

use bytes::{BufMut as _, Bytes, BytesMut};

/// What stands before a message: whether it is compressed, and its length.
pub const HEAD_BYTES: usize = 5;

/// An encoded message with its head, not compressed.
///
/// # Panics
///
/// From 4 GiB on.
pub fn frame(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD_BYTES + message.len());
    out.put_u8(0);
    out.put_u32(u32::try_from(message.len()).expect("test messages are far below 4 GiB"));
    out.put_slice(message);
    out.freeze()
}

/// The text of a `grpc-message` field, which travels percent encoded.
pub fn percent_decoded(encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) if byte == b'%' => {
                out.push(decoded);
                rest = &after[2..];
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_length_of_its_message() {
        assert_eq!(frame(b"ab")[..], *b"\0\0\0\0\x02ab");
        assert_eq!(frame(b"")[..], [0; HEAD_BYTES]);
    }

    #[test]
    fn percent_signs_stand_for_bytes() {
        let check = |text: &str, expected: &str| {
            assert_eq!(percent_decoded(text.as_bytes()), expected.as_bytes());
        };
        check("etcdserver: too many requests", "etcdserver: too many requests");
        check("100%25 %C3%A4%", "100% ä%");
        check("%zz%4", "%zz%4");
    }
}
