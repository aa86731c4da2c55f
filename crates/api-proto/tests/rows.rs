//! Encoded rows in messages against the same messages with plain ones.

use bytes::{BufMut as _, Bytes};
use ferretcd_api_proto::EncodedKeyValue;
use ferretcd_api_proto::etcdserverpb::{DeleteRangeResponse, PutResponse, RangeResponse, ResponseHeader};
use ferretcd_api_proto::mvccpb::{Event, KeyValue};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost::{DecodeError, Message};

/// `RangeResponse` as it would be without [`EncodedKeyValue`].
#[derive(Clone, PartialEq, Message)]
struct PlainRangeResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
    #[prost(bool, tag = "3")]
    more: bool,
    #[prost(int64, tag = "4")]
    count: i64,
}

fn receive<M: Message + Default>(wire: &[u8]) -> Result<M, DecodeError> {
    M::decode(wire)
}

fn encoded(kvs: &[KeyValue]) -> Vec<EncodedKeyValue> {
    kvs.iter().map(EncodedKeyValue::from).collect()
}

fn decoded(kvs: &[EncodedKeyValue]) -> Vec<KeyValue> {
    kvs.iter().map(|kv| kv.decode().expect("the bytes were merged field by field")).collect()
}

fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

prop_compose! {
    fn key_value()(
        key in bytes(20),
        create_revision in any::<i64>(),
        mod_revision in 0..100i64,
        version in any::<i64>(),
        value in bytes(300),
        lease in prop_oneof![Just(0), any::<i64>()],
    ) -> KeyValue {
        KeyValue { key, create_revision, mod_revision, version, value, lease }
    }
}

/// A field with any number and any content, often not according to the schema.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let content = prop_oneof![
        any::<u64>().prop_map(|n| (WireType::Varint, varint(n))),
        any::<[u8; 8]>().prop_map(|b| (WireType::SixtyFourBit, b.to_vec())),
        any::<[u8; 4]>().prop_map(|b| (WireType::ThirtyTwoBit, b.to_vec())),
        vec(any::<u8>(), 0..20).prop_map(|b| (WireType::LengthDelimited, length_delimited(&b))),
    ];
    (1..9u32, content).prop_map(|(tag, (wire_type, content))| {
        let mut field = Vec::new();
        encode_key(tag, wire_type, &mut field);
        field.put_slice(&content);
        field
    })
}

fn varint(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    encode_varint(number, &mut out);
    out
}

fn length_delimited(content: &[u8]) -> Vec<u8> {
    [varint(content.len() as u64), content.to_vec()].concat()
}

proptest! {
    #[test]
    fn a_row_is_encoded_as_it_is(kv in key_value()) {
        let plain = kv.encode_to_vec();
        let row = EncodedKeyValue::from_encoded(plain.clone().into());
        prop_assert_eq!(row.encoded_len(), plain.len());
        prop_assert_eq!(row.encode_to_vec(), plain);
        prop_assert_eq!(&EncodedKeyValue::from(&kv), &row);
        prop_assert_eq!(row.decode().unwrap(), kv);
    }

    #[test]
    fn a_canonical_row_survives_decoding_byte_for_byte(kv in key_value()) {
        let row = EncodedKeyValue::from(kv);
        let received: EncodedKeyValue = receive(row.as_bytes()).unwrap();
        prop_assert_eq!(received, row);
    }

    #[test]
    fn responses_are_those_with_plain_rows(kvs in vec(key_value(), 0..8), more: bool, count: i64) {
        let header = Some(ResponseHeader { revision: 7, ..ResponseHeader::default() });
        let ours = RangeResponse { header, kvs: encoded(&kvs), more, count };
        let plain = PlainRangeResponse { header, kvs: kvs.clone(), more, count };
        let wire = plain.encode_to_vec();
        prop_assert_eq!(&ours.encode_to_vec(), &wire);
        let received = RangeResponse::decode(wire.as_slice()).unwrap();
        prop_assert_eq!(&received, &ours);
        prop_assert_eq!(decoded(&received.kvs), kvs);
    }

    #[test]
    fn optional_rows_survive(kv in key_value(), prev in proptest::option::of(key_value())) {
        let event = Event { kv: Some(kv.into()), prev_kv: prev.clone().map(Into::into), ..Event::default() };
        prop_assert_eq!(Event::decode(event.encode_to_vec().as_slice()).unwrap(), event);
        let put = PutResponse { prev_kv: prev.clone().map(Into::into), ..PutResponse::default() };
        prop_assert_eq!(PutResponse::decode(put.encode_to_vec().as_slice()).unwrap(), put);
        let kvs: Vec<KeyValue> = prev.into_iter().collect();
        let delete = DeleteRangeResponse { prev_kvs: encoded(&kvs), ..DeleteRangeResponse::default() };
        prop_assert_eq!(DeleteRangeResponse::decode(delete.encode_to_vec().as_slice()).unwrap(), delete);
    }

    /// Any fields in any order, repeated, unknown or of the wrong kind: accepted exactly if the plain message is,
    /// with the same meaning.
    #[test]
    fn odd_fields_mean_what_they_mean_in_a_plain_row(fields in vec(field(), 0..8)) {
        let wire = fields.concat();
        let ours = receive::<EncodedKeyValue>(&wire).and_then(|row| row.decode()).ok();
        prop_assert_eq!(ours, KeyValue::decode(wire.as_slice()).ok());
    }

    #[test]
    fn any_bytes_are_decoded_or_rejected_as_a_plain_row(wire in vec(any::<u8>(), 0..64)) {
        let ours = receive::<EncodedKeyValue>(&wire).and_then(|row| row.decode()).ok();
        prop_assert_eq!(ours, KeyValue::decode(wire.as_slice()).ok());
        let unchecked = EncodedKeyValue::from_encoded(wire.clone().into());
        prop_assert_eq!(unchecked.decode().ok(), KeyValue::decode(wire.as_slice()).ok());
        let shown = format!("{unchecked:?}");
        prop_assert!(!shown.is_empty());
    }
}

#[test]
fn merging_leaves_shared_bytes_alone() {
    let first = EncodedKeyValue::from(KeyValue { key: "a".into(), version: 1, ..KeyValue::default() });
    let mut merged = first.clone();
    merged.merge(KeyValue { version: 2, ..KeyValue::default() }.encode_to_vec().as_slice()).unwrap();
    assert_eq!(first.decode().unwrap().version, 1);
    assert_eq!(merged.decode().unwrap(), KeyValue { key: "a".into(), version: 2, ..KeyValue::default() });
}

#[test]
fn decoding_a_row_copies_nothing() {
    let row = EncodedKeyValue::from(KeyValue { value: "v".repeat(100).into(), ..KeyValue::default() });
    let value = row.decode().unwrap().value;
    assert!(row.as_bytes().as_ptr_range().contains(&value.as_ptr()));
}

#[test]
fn a_cleared_row_is_the_default() {
    let mut row = EncodedKeyValue::from(KeyValue { version: 1, ..KeyValue::default() });
    row.clear();
    assert_eq!(row, EncodedKeyValue::default());
    assert_eq!(row.decode().unwrap(), KeyValue::default());
}
