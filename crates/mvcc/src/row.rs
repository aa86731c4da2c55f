//! The bytes of a row: its key (a revision, marked if it is a tombstone) and its value, a protobuf
//! `mvccpb.KeyValue`.
//!
//! Rows are hashed, so the encoding must be the canonical one: fields in ascending order, zero values left
//! out. It is written and read by hand here because both lie on the hottest paths and need no copy of the
//! value.

use bytes::{BufMut, Bytes};
use ferretcd_base::{LeaseId, Revision};

use crate::arena::Arena;
use crate::error::Corruption;

/// Marks the row key of a tombstone.
const TOMBSTONE_MARK: u8 = b't';

// Tags of `mvccpb.KeyValue`: field number and wire type (0 varint, 2 length-delimited).
const KEY: u8 = 1 << 3 | 2;
const CREATE_REVISION: u8 = 2 << 3;
const MOD_REVISION: u8 = 3 << 3;
const VERSION: u8 = 4 << 3;
const VALUE: u8 = 5 << 3 | 2;
const LEASE: u8 = 6 << 3;

/// The sub revision as the index keeps it. Row keys outside its range were rejected when they were read.
pub(crate) fn narrow_sub(revision: Revision) -> u32 {
    u32::try_from(revision.sub).expect("a transaction has less than 2^32 changes")
}

/// The row key of a change.
pub(crate) fn key(revision: Revision, tombstone: bool, arena: &mut Arena) -> Bytes {
    let len = Revision::ENCODED_LEN + usize::from(tombstone);
    arena.allocate(len, |room| {
        room.put_slice(&revision.to_bytes());
        if tombstone {
            room.put_u8(TOMBSTONE_MARK);
        }
    })
}

/// The row of a deletion, which holds only the key, and the key as a part of it.
pub(crate) fn tombstone(key: &[u8], arena: &mut Arena) -> (Bytes, Bytes) {
    let row = arena.allocate(bytes_len(key), |room| put_bytes(room, KEY, key));
    let key = row.slice(row.len() - key.len()..);
    (row, key)
}

/// Above every main revision and version that a store can come to, and far from where adding to one
/// overflows.
const NUMBER_END: i64 = 1 << 62;

/// Whether a main revision, or a version, is one that a store can have come to.
pub(crate) fn is_credible(number: i64) -> bool {
    (0..NUMBER_END).contains(&number)
}

/// Reads a row: its revision, whether it is a tombstone, and its value.
pub(crate) fn parse<'a>(key: &Bytes, value: &'a [u8]) -> Result<(Revision, bool, Fields<'a>), Corruption> {
    let (revision, tombstone) = parse_key(key)?;
    let fields = Fields::parse(value).filter(|fields| is_credible(fields.version));
    Ok((revision, tombstone, fields.ok_or(Corruption::Row { revision })?))
}

/// Reads a row key: the revision and whether it is a tombstone's.
pub(crate) fn parse_key(bytes: &Bytes) -> Result<(Revision, bool), Corruption> {
    let (plain, tombstone) = match bytes.split_last() {
        Some((&TOMBSTONE_MARK, plain)) if plain.len() == Revision::ENCODED_LEN => (plain, true),
        _ => (&bytes[..], false),
    };
    match Revision::from_bytes(plain) {
        Ok(revision) if is_credible(revision.main) && u32::try_from(revision.sub).is_ok() => {
            Ok((revision, tombstone))
        }
        _ => Err(Corruption::RowKey { key: bytes.clone() }),
    }
}

/// The fields of a stored put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) create_revision: i64,
    pub(crate) mod_revision: i64,
    pub(crate) version: i64,
    pub(crate) value: &'a [u8],
    pub(crate) lease: LeaseId,
}

impl<'a> Fields<'a> {
    /// The canonical encoding, in one allocation of exactly its size.
    pub(crate) fn encode(&self) -> Bytes {
        let len = self.encoded_len();
        let mut out = Vec::with_capacity(len);
        put_bytes(&mut out, KEY, self.key);
        put_number(&mut out, CREATE_REVISION, self.create_revision);
        put_number(&mut out, MOD_REVISION, self.mod_revision);
        put_number(&mut out, VERSION, self.version);
        put_bytes(&mut out, VALUE, self.value);
        put_number(&mut out, LEASE, self.lease.0);
        debug_assert_eq!(out.len(), len);
        Bytes::from(out)
    }

    /// The length of the canonical encoding.
    pub(crate) fn encoded_len(&self) -> usize {
        let numbers = [self.create_revision, self.mod_revision, self.version, self.lease.0];
        bytes_len(self.key) + bytes_len(self.value) + numbers.map(number_len).iter().sum::<usize>()
    }

    /// Reads any protobuf encoding of a `KeyValue`; unknown fields are skipped. `None` if it isn't one.
    pub(crate) fn parse(mut bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Self::default();
        while !bytes.is_empty() {
            let tag = take_varint(&mut bytes)?;
            match u8::try_from(tag).unwrap_or(0) {
                KEY => fields.key = take_bytes(&mut bytes)?,
                CREATE_REVISION => fields.create_revision = take_number(&mut bytes)?,
                MOD_REVISION => fields.mod_revision = take_number(&mut bytes)?,
                VERSION => fields.version = take_number(&mut bytes)?,
                VALUE => fields.value = take_bytes(&mut bytes)?,
                LEASE => fields.lease = LeaseId(take_number(&mut bytes)?),
                _ => skip(&mut bytes, tag)?,
            }
        }
        Some(fields)
    }
}

/// Length of a varint: one byte for each started group of 7 bits, at least one.
pub(crate) fn varint_len(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

fn bytes_len(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { 1 + varint_len(bytes.len() as u64) + bytes.len() }
}

fn number_len(number: i64) -> usize {
    if number == 0 { 0 } else { 1 + varint_len(number.cast_unsigned()) }
}

fn put_varint(out: &mut impl BufMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

fn put_bytes(out: &mut impl BufMut, tag: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.put_u8(tag);
        put_varint(out, bytes.len() as u64);
        out.put_slice(bytes);
    }
}

fn put_number(out: &mut impl BufMut, tag: u8, number: i64) {
    if number != 0 {
        out.put_u8(tag);
        put_varint(out, number.cast_unsigned());
    }
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let group = u64::from(byte & 0x7f);
        if shift == 63 && group > 1 {
            return None;
        }
        number |= group << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take_number(bytes: &mut &[u8]) -> Option<i64> {
    take_varint(bytes).map(u64::cast_signed)
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_varint(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// Steps over a field this version doesn't know. Groups don't occur in proto3.
fn skip(bytes: &mut &[u8], tag: u64) -> Option<()> {
    let len = match tag & 7 {
        0 => return take_varint(bytes).map(drop),
        2 => return take_bytes(bytes).map(drop),
        1 => 8,
        5 => 4,
        _ => return None,
    };
    *bytes = bytes.split_at_checked(len)?.1;
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..4),
            proptest::collection::vec(any::<u8>(), 120..140)
        ]
    }

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![0..3i64, 120..140i64, any::<i64>()]
    }

    proptest! {
        #[test]
        fn the_encoding_is_the_canonical_protobuf(
            key in bytes(), value in bytes(),
            create_revision in number(), mod_revision in number(), version in number(), lease in number(),
        ) {
            let fields = Fields {
                key: &key, create_revision, mod_revision, version, value: &value, lease: LeaseId(lease),
            };
            let message = ferretcd_api_proto::mvccpb::KeyValue {
                key: key.clone().into(), create_revision, mod_revision, version, value: value.clone().into(), lease,
            };
            let encoded = fields.encode();
            prop_assert_eq!(&encoded[..], prost::Message::encode_to_vec(&message));
            prop_assert_eq!(Fields::parse(&encoded), Some(fields));
        }

        #[test]
        fn any_bytes_are_parsed_or_rejected(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            _ = Fields::parse(&bytes);
            _ = parse_key(&bytes.into());
        }

        #[test]
        fn a_cut_row_is_rejected_or_shorter(cut in 0usize..20) {
            let row = Fields { key: b"foo", value: b"0123456789", ..Fields::default() }.encode();
            if let Some(fields) = Fields::parse(&row[..cut.min(row.len() - 1)]) {
                prop_assert_eq!(fields.value, b"");
            }
        }
    }

    #[test]
    fn unknown_fields_are_skipped() {
        let row = b"\x38\x05\x3a\x02zz\x0a\x01k\x41\0\0\0\0\0\0\0\0\x45\0\0\0\0\xf8\x01\x00";
        assert_eq!(Fields::parse(row), Some(Fields { key: b"k", ..Fields::default() }));
    }

    #[test]
    fn row_keys() {
        let revision = Revision::new(6, 1);
        for tombstone in [false, true] {
            let key = key(revision, tombstone, &mut Arena::default());
            assert_eq!(parse_key(&key).unwrap(), (revision, tombstone));
        }
        let rejected: [&'static [u8]; 7] = [
            b"",
            b"t",
            b"\0\0\0\0\0\0\0\x06_\0\0\0\0\0\0\0\0x",
            b"\0\0\0\0\0\0\0\x06-\0\0\0\0\0\0\0\0t",
            b"\0\0\0\0\0\0\0\x06_\xff\0\0\0\0\0\0\0",
            b"\x80\0\0\0\0\0\0\x06_\0\0\0\0\0\0\0\0",
            b"\x7f\xff\xff\xff\xff\xff\xff\xff_\0\0\0\0\0\0\0\0",
        ];
        for bytes in rejected {
            assert!(parse_key(&Bytes::from_static(bytes)).is_err(), "{bytes:?}");
        }
    }
}
