//! The fields of a header block as they are spelled (RFC 7541, 5 and 6).

use httlib_huffman::DecoderSpeed;

/// Marks a string in Huffman's code.
const HUFFMAN: u8 = 0x80;

/// A block that the HTTP/2 library will not take either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// One instruction of a block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'a> {
    /// A field of one of the tables, by its number.
    Indexed(usize),
    /// A field that is spelled out.
    Literal {
        name: Name<'a>,
        value: Text<'a>,
        /// Whether the dynamic table gets it.
        is_remembered: bool,
    },
    /// From now on the dynamic table takes that many bytes.
    TableSize(usize),
}

/// The name of a field that is spelled out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name<'a> {
    /// That of a field of one of the tables.
    Indexed(usize),
    Spelled(Text<'a>),
}

/// A string as it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    /// With the length in front.
    pub(super) encoded: &'a [u8],
    content: &'a [u8],
    is_huffman: bool,
}

impl Text<'_> {
    /// The number of its bytes, at least. No code is longer than 30 bits.
    pub(super) fn bytes_min(&self) -> usize {
        if self.is_huffman { self.content.len() / 4 } else { self.content.len() }
    }

    /// Its bytes; in `scratch` if they are not there as they are.
    pub(super) fn decode<'s>(&'s self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], Malformed> {
        if !self.is_huffman {
            return Ok(self.content);
        }
        scratch.clear();
        httlib_huffman::decode(self.content, scratch, DecoderSpeed::FourBits).map_err(|_| Malformed)?;
        Ok(scratch)
    }
}

/// Reads a block from its beginning.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    block: &'a [u8],
    at: usize,
    /// Whether a field has been read, behind which the table keeps its size.
    has_field: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn of(block: &'a [u8]) -> Self {
        Self { block, at: 0, has_field: false }
    }

    /// The place of the next field.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next field; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        let Some(first) = self.block.get(self.at) else { return Ok(None) };
        let is_resize = matches!(first, 0x20..0x40);
        if is_resize && self.has_field {
            return Err(Malformed);
        }
        self.has_field |= !is_resize;
        Ok(Some(match first {
            0x80.. => Field::Indexed(self.integer(7)?),
            0x40.. => self.literal(6, true)?,
            0x20.. => Field::TableSize(self.integer(5)?),
            _ => self.literal(4, false)?,
        }))
    }

    fn literal(&mut self, bits: u32, is_remembered: bool) -> Result<Field<'a>, Malformed> {
        let name = match self.integer(bits)? {
            0 => Name::Spelled(self.text()?),
            index => Name::Indexed(index),
        };
        Ok(Field::Literal { name, value: self.text()?, is_remembered })
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = *self.block.get(self.at).ok_or(Malformed)?;
        self.at += 1;
        Ok(byte)
    }

    /// A number that begins in the lowest `bits` of the next byte.
    fn integer(&mut self, bits: u32) -> Result<usize, Malformed> {
        let prefix_max = (1_usize << bits) - 1;
        let mut number = usize::from(self.byte()?) & prefix_max;
        if number < prefix_max {
            return Ok(number);
        }
        // More digits make a number that is larger than any block.
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            number += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn text(&mut self) -> Result<Text<'a>, Malformed> {
        let start = self.at;
        let is_huffman = self.block.get(start).ok_or(Malformed)? & HUFFMAN != 0;
        let length = self.integer(7)?;
        let content = self.block[self.at..].get(..length).ok_or(Malformed)?;
        self.at += length;
        Ok(Text { encoded: &self.block[start..self.at], content, is_huffman })
    }
}

/// Writes a number whose beginning takes the lowest `bits` of a byte, beside `first`.
pub(super) fn write_integer(number: usize, bits: u32, first: u8, out: &mut Vec<u8>) {
    let prefix_max = (1_usize << bits) - 1;
    if number < prefix_max {
        out.push(first | number as u8);
        return;
    }
    out.push(first | prefix_max as u8);
    let mut rest = number - prefix_max;
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A string as it is, with its length in front.
    pub(in crate::authority) fn plain(value: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        write_integer(value.len(), 7, 0, &mut text);
        text.extend_from_slice(value);
        text
    }

    /// A string in Huffman's code.
    pub(in crate::authority) fn huffman(value: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::new();
        httlib_huffman::encode(value, &mut encoded).expect("all bytes have codes");
        let mut text = Vec::new();
        write_integer(encoded.len(), 7, HUFFMAN, &mut text);
        text.extend(encoded);
        text
    }

    proptest! {
        #[test]
        fn numbers_and_strings_are_read_as_written(
            number in 0_usize..1 << 28,
            bits in 4_u32..8,
            value in vec(any::<u8>(), 0..300),
        ) {
            let mut block = Vec::new();
            write_integer(number, bits, 0, &mut block);
            block.extend(plain(&value));
            block.extend(huffman(&value));
            let mut fields = Fields::of(&block);
            prop_assert_eq!(fields.integer(bits), Ok(number));
            let mut scratch = Vec::new();
            for _ in 0..2 {
                let text = fields.text().expect("it is whole");
                prop_assert_eq!(text.decode(&mut scratch), Ok(&value[..]));
            }
            prop_assert_eq!(fields.at(), block.len());
        }
    }
}
