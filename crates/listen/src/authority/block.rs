//! The authority in a block of headers (RFC 7541, 5 and 6).
//!
//! Fields are walked over without knowledge of their content: the end of each can be found without the table of the
//! fields that were sent before.

use std::ops::Range;

use httlib_huffman::DecoderSpeed;
use http::uri::Authority;

/// The number of `:authority` in the table that both sides know.
const AUTHORITY: usize = 1;
/// Marks a string in Huffman's code.
const HUFFMAN: u8 = 0x80;

/// The correction of the authority, if it is spelled out and malformed: the place of its value with its length, and the
/// new bytes. Decoded, the new value is as long as the old one, so that both sides keep tables of
/// one size.
pub(super) fn correction(block: &[u8]) -> Option<(Range<usize>, Vec<u8>)> {
    let mut block = Block { bytes: block, at: 0 };
    loop {
        let first = *block.bytes.get(block.at)?;
        let name = match first {
            0x80.. => {
                block.integer(7)?;
                continue;
            }
            0x40.. => block.integer(6)?,
            0x20.. => {
                block.integer(5)?;
                continue;
            }
            _ => block.integer(4)?,
        };
        if name == 0 {
            block.string()?;
        }
        let start = block.at;
        let value = block.string()?;
        if name == AUTHORITY {
            return Some((start..block.at, encode(&corrected(value.decode()?)?)));
        }
    }
}

/// An authority of the same length; `None` if the value is well-formed or empty.
fn corrected(mut value: Vec<u8>) -> Option<Vec<u8>> {
    if value.is_empty() || Authority::try_from(&value[..]).is_ok() {
        return None;
    }
    for byte in &mut value {
        if !byte.is_ascii_alphanumeric() && *byte != b'.' {
            *byte = b'-';
        }
    }
    Some(value)
}

/// A string with its length in front, as it is.
fn encode(value: &[u8]) -> Vec<u8> {
    const PREFIX_MAX: usize = 0x7f;
    let mut encoded = Vec::with_capacity(value.len() + 4);
    if value.len() < PREFIX_MAX {
        encoded.push(value.len() as u8);
    } else {
        encoded.push(PREFIX_MAX as u8);
        let mut rest = value.len() - PREFIX_MAX;
        while rest >= 0x80 {
            encoded.push(0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        encoded.push(rest as u8);
    }
    encoded.extend_from_slice(value);
    encoded
}

/// A block that is read from its beginning. All methods return `None` at what is cut off or malformed.
struct Block<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A string as it was sent.
struct Text<'a> {
    bytes: &'a [u8],
    is_huffman: bool,
}

impl<'a> Block<'a> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A number that begins in the lowest `bits` of the next byte.
    fn integer(&mut self, bits: u32) -> Option<usize> {
        let prefix_max = (1_usize << bits) - 1;
        let mut number = usize::from(self.byte()?) & prefix_max;
        if number < prefix_max {
            return Some(number);
        }
        // A number with more digits is larger than a frame.
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            number += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn string(&mut self) -> Option<Text<'a>> {
        let is_huffman = self.bytes.get(self.at)? & HUFFMAN != 0;
        let length = self.integer(7)?;
        let bytes = self.bytes.get(self.at..)?.get(..length)?;
        self.at += length;
        Some(Text { bytes, is_huffman })
    }
}

impl Text<'_> {
    fn decode(&self) -> Option<Vec<u8>> {
        if !self.is_huffman {
            return Some(self.bytes.to_vec());
        }
        let mut decoded = Vec::new();
        httlib_huffman::decode(self.bytes, &mut decoded, DecoderSpeed::FourBits).ok()?;
        Some(decoded)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn huffman(value: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::new();
        httlib_huffman::encode(value, &mut encoded).expect("all bytes have codes");
        let mut text = encode(&encoded);
        text[0] |= HUFFMAN;
        text
    }

    /// The block with the correction made.
    fn correct(block: &[u8]) -> Option<Vec<u8>> {
        let (range, value) = correction(block)?;
        Some([&block[..range.start], &value, &block[range.end..]].concat())
    }

    #[test]
    fn authorities_are_found() {
        let check = |before: &[u8], text: &[u8], expected: Option<&str>| {
            let block = [before, text, &[0x82]].concat();
            let expected = expected.map(|expected| [before, &encode(expected.as_bytes()), &[0x82]].concat());
            assert_eq!(correct(&block), expected, "{block:x?}");
        };
        let url = encode(b"http://a:1");
        // To be remembered, not, and never.
        check(&[0x41], &url, Some("http---a-1"));
        check(&[0x01], &url, Some("http---a-1"));
        check(&[0x11], &url, Some("http---a-1"));
        check(&[0x41], &huffman(b"unix:///a b\xff/"), Some("unix----a-b--"));
        let long = format!("https://{}", "a".repeat(300));
        check(&[0x41], &huffman(long.as_bytes()), Some(&long.replace([':', '/'], "-")));
        check(&[0x41], &encode(long.as_bytes()), Some(&long.replace([':', '/'], "-")));
        // Behind a new size of the table, fields by number, and others that are spelled out.
        let others = [&[0x3f, 0xe1, 0x1f, 0x83, 0xff, 0x05, 0x44][..], &huffman(b"/path"), &[0x40]].concat();
        let others = [&others, &encode(b"name")[..], &huffman(b"http://b"), &[0x41]].concat();
        check(&others, &url, Some("http---a-1"));
        for ordinary in ["a", "a:1", "127.0.0.1:2379", "[::1]:2379", "user@host", ""] {
            check(&[0x41], &encode(ordinary.as_bytes()), None);
            check(&[0x41], &huffman(ordinary.as_bytes()), None);
        }
        // Other fields with that value stay.
        check(&[0x44], &url, None);
        // Cut off; a number without an end; a code that stands for no text.
        check(&[0x41, 0x7f, 0x80, 0x80, 0x80, 0x80], &[0x80; 20], None);
        check(&[0x41], &[0x84, 0xff, 0xff, 0xff, 0xff], None);
        for n in 0..url.len() {
            assert_eq!(correct(&[&[0x41], &url[..n]].concat()), None);
        }
    }

    proptest! {
        #[test]
        fn values_keep_their_length(value in vec(any::<u8>(), 0..300), is_huffman in any::<bool>()) {
            let text = if is_huffman { huffman(&value) } else { encode(&value) };
            let block = [&[0x41], &text[..]].concat();
            let is_good = value.is_empty() || Authority::try_from(&value[..]).is_ok();
            let corrected = correct(&block);
            prop_assert_eq!(corrected.is_none(), is_good);
            if let Some(corrected) = corrected {
                let text = Block { bytes: &corrected, at: 1 }.string().and_then(|text| text.decode());
                let text = text.expect("it is whole");
                prop_assert_eq!(text.len(), value.len());
                prop_assert!(Authority::try_from(&text[..]).is_ok());
            }
        }

        #[test]
        fn hostile_blocks_do_not_panic(block in vec(any::<u8>(), 0..200)) {
            if let Some((range, _)) = correction(&block) {
                prop_assert!(range.end <= block.len());
            }
        }

        #[test]
        fn hostile_codes_do_not_panic(code in vec(any::<u8>(), 0..100)) {
            let mut text = encode(&code);
            text[0] |= HUFFMAN;
            drop(correction(&[&[0x41], &text[..]].concat()));
        }
    }
}
