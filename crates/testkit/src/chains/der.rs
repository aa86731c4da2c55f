//! Writing DER.

pub(super) const BOOLEAN: u8 = 1;
pub(super) const INTEGER: u8 = 2;
pub(super) const BIT_STRING: u8 = 3;
pub(super) const OCTET_STRING: u8 = 4;
pub(super) const NULL: u8 = 5;
pub(super) const OBJECT_IDENTIFIER: u8 = 6;
pub(super) const UTF8_STRING: u8 = 12;
pub(super) const GENERALIZED_TIME: u8 = 24;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// A value of parts that are encoded or are its bytes.
pub(super) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let mut der = vec![tag];
    match length {
        0..=0x7f => der.push(length as u8),
        0x80..=0xff => der.extend([0x81, length as u8]),
        _ => der.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    der.extend(content);
    der
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, parts)
}

/// A field that contains values.
pub(super) fn wrapper(number: u8, parts: &[&[u8]]) -> Vec<u8> {
    value(0xa0 | number, parts)
}

/// A field in place of a simple value.
pub(super) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    value(0x80 | number, &[bytes])
}

pub(super) fn oid(arcs: &[u32]) -> Vec<u8> {
    let mut bytes = vec![(arcs[0] * 40 + arcs[1]) as u8];
    for arc in &arcs[2..] {
        let mut groups = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            groups.push(0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        bytes.extend(groups.iter().rev());
    }
    value(OBJECT_IDENTIFIER, &[&bytes])
}

/// Bits, all of which count.
pub(super) fn bits(bytes: &[u8]) -> Vec<u8> {
    value(BIT_STRING, &[&[0], bytes])
}
