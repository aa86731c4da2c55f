//! The status of a gRPC call, in the header block of its trailers (RFC 7541).
//!
//! The block is searched and not decoded: a server without a header table ([`super::Wire::forbid_header_table`]) has to
//! write the field out, with the name and the value each in one of two forms.

/// The name with its length before it, plain and in Huffman's code.
const NAMES: [&[u8]; 2] = [b"\x0bgrpc-status", b"\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f"];
/// Of a length: what follows is in Huffman's code.
const HUFFMAN: u8 = 0x80;
/// Status codes have at most two digits.
const DIGITS_MAX: usize = 2;

/// The status; `None` when the block has none that can be read.
pub(crate) fn grpc_status(block: &[u8]) -> Option<u8> {
    let at = NAMES.iter().find_map(|name| {
        let at = block.windows(name.len()).position(|window| window == *name)?;
        Some(at + name.len())
    })?;
    let (length, rest) = block[at..].split_first()?;
    let value = rest.get(..usize::from(length & !HUFFMAN))?;
    if value.is_empty() || value.len() > DIGITS_MAX {
        return None;
    }
    if length & HUFFMAN == 0 { plain(value) } else { huffman(value) }
}

fn plain(digits: &[u8]) -> Option<u8> {
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Digits up to 2 have five bits, 00000 to 00010, the others six, 011001 to 011111. Less than a byte of ones is behind
/// the last.
fn huffman(code: &[u8]) -> Option<u8> {
    let bits = code.iter().fold(0_u16, |bits, byte| bits << 8 | u16::from(*byte));
    let mut left = 8 * code.len() as u32;
    let mut number = 0_u8;
    while left >= 5 {
        let take = |n: u32| bits >> (left - n) & ((1 << n) - 1);
        let (digit, n_bits) = match take(5) {
            digit @ 0..=2 => (digit, 5),
            0b0_1100..=0b0_1111 if left >= 6 => (take(6).checked_sub(0b01_0110)?, 6),
            0b1_1111 => break,
            _ => return None,
        };
        number = number.checked_mul(10)?.checked_add(u8::try_from(digit).ok()?)?;
        left -= n_bits;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(name: usize, value: &[u8]) -> Vec<u8> {
        [&[0x20, 0x88, 0x40][..], NAMES[name], value, b"\x40\x0cgrpc-message\x02no"].concat()
    }

    #[test]
    fn both_forms_are_read() {
        for (value, expected) in [
            (&b"\x010"[..], Some(0)),
            (b"\x018", Some(8)),
            (b"\x0214", Some(14)),
            // 0, 3, 8, 14 and 16.
            (b"\x81\x07", Some(0)),
            (b"\x81\x67", Some(3)),
            (b"\x81\x7b", Some(8)),
            (b"\x82\x0b\x5f", Some(14)),
            (b"\x82\x0b\x9f", Some(16)),
            (b"\x00", None),
            (b"\x03123", None),
            (b"\x01x", None),
            (b"\x81\xa7", None),
        ] {
            for name in 0..NAMES.len() {
                assert_eq!(grpc_status(&block(name, value)), expected, "{value:x?}");
            }
        }
        assert_eq!(grpc_status(b"\x88\x40\x0cgrpc-message\x02no"), None);
        assert_eq!(grpc_status(NAMES[0]), None);
    }
}
