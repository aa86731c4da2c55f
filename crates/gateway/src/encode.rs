//! Protobuf responses as JSON, while they arrive.
//!
//! The bytes of a message come in pieces and leave as JSON, of which no more is kept than one value that is not whole. So
//! a long list takes no more memory here than its longest value.
//!
//! The mapping is proto3's, with the schema's own names: zeros are left out, 64-bit integers and bytes are strings, enums
//! are their names. Fields stand in the order of the message, which must have the elements of a list side by side.

use std::io::Write as _;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use data_encoding::BASE64;
use prost::encoding::{WireType, decode_varint};

use crate::schema::{Field, Kind, MessageId, Schema};

/// A message that is not one of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a response is malformed")]
pub(crate) struct Malformed;

/// Writes one message.
#[derive(Debug)]
pub(crate) struct Encoder {
    schema: Arc<Schema>,
    /// The messages that the next byte is within, from the outside in; empty behind the end.
    open: Vec<Open>,
    /// The beginning of a value that is not whole.
    kept: Vec<u8>,
}

/// A message whose end has not been read.
#[derive(Debug)]
struct Open {
    id: MessageId,
    /// Bytes of it that have not been read.
    left: usize,
    /// Whether something was written of it.
    is_begun: bool,
    /// The number of the repeated field whose elements are being written.
    list: Option<u32>,
}

/// A field as it stands in a message.
enum Item {
    Varint(u32, u64),
    /// With the length of what follows.
    Delimited(u32, usize),
    /// Of the wire types that no field here has.
    Fixed(usize),
}

impl Encoder {
    /// Begins a message of `n_bytes` bytes.
    pub(crate) fn new(schema: Arc<Schema>, id: MessageId, n_bytes: usize, out: &mut Vec<u8>) -> Self {
        let mut encoder = Self { schema, open: Vec::new(), kept: Vec::new() };
        encoder.writer(out).begin(id, n_bytes);
        encoder
    }

    /// Whether the whole message has been written.
    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes bytes of the message off `piece`, up to its end, and appends what is known then to `out`.
    pub(crate) fn push(&mut self, piece: &mut Bytes, out: &mut Vec<u8>) -> Result<(), Malformed> {
        while !self.is_done() && !piece.is_empty() {
            if self.kept.is_empty() {
                let n = self.writer(out).write(piece)?;
                piece.advance(n);
                if n > 0 {
                    continue;
                }
            }
            // The rest belongs to a value whose end is not here.
            let left = self.open.last().map_or(0, |open| open.left) - self.kept.len();
            let n = self.missing()?.min(piece.len()).min(left);
            if n == 0 {
                return Err(Malformed);
            }
            self.kept.extend_from_slice(&piece[..n]);
            piece.advance(n);
            let mut kept = std::mem::take(&mut self.kept);
            let n = self.writer(out).write(&kept)?;
            kept.drain(..n);
            self.kept = kept;
        }
        Ok(())
    }

    /// How many bytes the value in `kept` lacks, at least one.
    fn missing(&self) -> Result<usize, Malformed> {
        Ok(match item(&self.kept)? {
            Some((Item::Delimited(_, n_bytes) | Item::Fixed(n_bytes), head)) => {
                (head + n_bytes).saturating_sub(self.kept.len()).max(1)
            }
            Some((Item::Varint(..), _)) | None => 1,
        })
    }

    fn writer<'a>(&'a mut self, out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { schema: &self.schema, open: &mut self.open, out }
    }
}

/// Writes values that are whole.
struct Writer<'a> {
    schema: &'a Schema,
    open: &'a mut Vec<Open>,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    /// Writes the values that are whole in `bytes`, and returns how many bytes they have.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        while let Some(open) = self.open.last_mut() {
            let rest = &bytes[at..];
            let within = &rest[..rest.len().min(open.left)];
            let Some((item, head)) = item(within)? else {
                // Nothing may end in the middle of a head.
                return if within.len() < open.left { Ok(at) } else { Err(Malformed) };
            };
            let (number, n_bytes) = match item {
                Item::Varint(number, _) => (Some(number), 0),
                Item::Delimited(number, n_bytes) => (Some(number), n_bytes),
                Item::Fixed(n_bytes) => (None, n_bytes),
            };
            // The schema may be older than the message.
            let field = number.and_then(|number| self.schema.message(open.id).field(number));
            let total = head.checked_add(n_bytes).filter(|total| *total <= open.left).ok_or(Malformed)?;
            if let (Some(field @ Field { kind: Kind::Message(id), .. }), Item::Delimited(..)) = (field, &item)
            {
                // What is within is off the count of what is around it at once.
                open.left -= total;
                at += head;
                self.name(field);
                self.begin(*id, n_bytes);
                continue;
            }
            if within.len() < total {
                return Ok(at);
            }
            open.left -= total;
            at += total;
            match (field, item) {
                (Some(field), Item::Varint(_, value)) => self.varint(field, value)?,
                (Some(field), Item::Delimited(..)) => self.delimited(field, &within[head..total])?,
                _ => {}
            }
            self.end();
        }
        Ok(at)
    }

    fn begin(&mut self, id: MessageId, n_bytes: usize) {
        self.out.push(b'{');
        self.open.push(Open { id, left: n_bytes, is_begun: false, list: None });
        self.end();
    }

    /// Ends the messages of which nothing is left.
    fn end(&mut self) {
        while let Some(Open { left: 0, list, .. }) = self.open.last() {
            if list.is_some() {
                self.out.push(b']');
            }
            self.out.push(b'}');
            self.open.pop();
        }
    }

    /// What stands before a value: the name of its field, or the comma between it and the one before.
    fn name(&mut self, field: &Field) {
        let (Some(open), out) = (self.open.last_mut(), &mut *self.out) else { return };
        if open.list == Some(field.number) {
            out.push(b',');
            return;
        }
        if open.list.take().is_some() {
            out.push(b']');
        }
        if std::mem::replace(&mut open.is_begun, true) {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b"\":");
        if field.is_repeated {
            out.push(b'[');
            open.list = Some(field.number);
        }
    }

    fn varint(&mut self, field: &Field, value: u64) -> Result<(), Malformed> {
        if value == 0 && !field.is_repeated && field.oneof.is_none() {
            return Ok(());
        }
        self.name(field);
        let out = &mut *self.out;
        let written = match field.kind {
            Kind::Bool => write!(out, "{}", value != 0),
            Kind::Int64 => write!(out, "\"{}\"", value.cast_signed()),
            Kind::Uint64 => write!(out, "\"{value}\""),
            Kind::Int32 => write!(out, "{}", signed_32(value)),
            Kind::Uint32 => write!(out, "{}", value & u64::from(u32::MAX)),
            Kind::Enum(id) => match self.schema.enumeration(id).name(signed_32(value)) {
                Some(name) => write!(out, "\"{name}\""),
                None => write!(out, "{}", signed_32(value)),
            },
            Kind::String | Kind::Bytes | Kind::Message(_) => return Err(Malformed),
        };
        written.map_err(|_| Malformed)
    }

    fn delimited(&mut self, field: &Field, bytes: &[u8]) -> Result<(), Malformed> {
        match field.kind {
            Kind::String | Kind::Bytes if bytes.is_empty() && !field.is_repeated && field.oneof.is_none() => {
            }
            Kind::String => {
                self.name(field);
                string(std::str::from_utf8(bytes).map_err(|_| Malformed)?, self.out);
            }
            Kind::Bytes => {
                self.name(field);
                self.out.push(b'"');
                let start = self.out.len();
                self.out.resize(start + BASE64.encode_len(bytes.len()), 0);
                BASE64.encode_mut(bytes, &mut self.out[start..]);
                self.out.push(b'"');
            }
            // Numbers side by side.
            _ => {
                let mut packed = bytes;
                while packed.has_remaining() {
                    let value = decode_varint(&mut packed).map_err(|_| Malformed)?;
                    self.varint(field, value)?;
                }
            }
        }
        Ok(())
    }
}

/// The first field of `bytes` and the length of its head; `None` if the head is not whole.
fn item(bytes: &[u8]) -> Result<Option<(Item, usize)>, Malformed> {
    let mut rest = bytes;
    let Some(key) = varint(&mut rest)? else { return Ok(None) };
    let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
    let wire_type = WireType::try_from(key & 7).map_err(|_| Malformed)?;
    let item = match wire_type {
        WireType::Varint => match varint(&mut rest)? {
            Some(value) => Item::Varint(number, value),
            None => return Ok(None),
        },
        WireType::LengthDelimited => match varint(&mut rest)? {
            Some(n_bytes) => Item::Delimited(number, usize::try_from(n_bytes).map_err(|_| Malformed)?),
            None => return Ok(None),
        },
        WireType::SixtyFourBit => Item::Fixed(8),
        WireType::ThirtyTwoBit => Item::Fixed(4),
        WireType::StartGroup | WireType::EndGroup => return Err(Malformed),
    };
    Ok(Some((item, bytes.len() - rest.len())))
}

/// Takes a number off `bytes`; `None` if it is not whole.
fn varint(bytes: &mut &[u8]) -> Result<Option<u64>, Malformed> {
    const BYTES_MAX: usize = 10;

    if !bytes.iter().take(BYTES_MAX).any(|byte| byte & 0x80 == 0) {
        return if bytes.len() < BYTES_MAX { Ok(None) } else { Err(Malformed) };
    }
    decode_varint(bytes).map(Some).map_err(|_| Malformed)
}

/// The number of 32 bits that a varint stands for.
fn signed_32(value: u64) -> i32 {
    let low = value & u64::from(u32::MAX);
    u32::try_from(low).unwrap_or(0).cast_signed()
}

/// Writes a text in quotes.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";

    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => {
                let digits = [HEXADECIMAL[usize::from(byte >> 4)], HEXADECIMAL[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use ferretcd_api_proto::mvccpb::{Event, KeyValue};
    use ferretcd_api_proto::{EncodedKeyValue, authpb, etcdserverpb as pb};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    /// The JSON of a message that arrives in pieces of `piece` bytes.
    fn json(grpc_path: &str, message: &[u8], piece: usize) -> String {
        let schema =
            Schema::new(ferretcd_api_proto::FILE_DESCRIPTOR_SET).expect("the gateway knows all types");
        let id = schema.by_grpc_path(grpc_path).response;
        let mut out = Vec::new();
        let mut encoder = Encoder::new(Arc::new(schema), id, message.len(), &mut out);
        for piece in message.chunks(piece) {
            let mut piece = Bytes::copy_from_slice(piece);
            encoder.push(&mut piece, &mut out).expect("it is well-formed");
            assert!(piece.is_empty());
        }
        assert!(encoder.is_done());
        String::from_utf8(out).expect("JSON is text")
    }

    fn check(grpc_path: &str, message: &impl Message, expected: &str) {
        let bytes = message.encode_to_vec();
        for piece in [1, 2, 3, 7, bytes.len().max(1)] {
            assert_eq!(json(grpc_path, &bytes, piece), expected, "pieces of {piece} bytes");
        }
    }

    fn row(key: &str) -> EncodedKeyValue {
        let row = KeyValue { key: key.to_owned().into(), mod_revision: 2, ..KeyValue::default() };
        EncodedKeyValue::from_encoded(row.encode_to_vec().into())
    }

    #[test]
    fn nothing_is_left_of_zeros() {
        check("/etcdserverpb.KV/Range", &pb::RangeResponse::default(), "{}");
    }

    #[test]
    fn lists_numbers_and_bytes() {
        let header =
            pb::ResponseHeader { cluster_id: u64::MAX, revision: -1, ..pb::ResponseHeader::default() };
        let kvs = vec![row("a"), row("bc")];
        let response = pb::RangeResponse { header: Some(header), kvs, more: true, count: 3 };
        let expected = r#"{"header":{"cluster_id":"18446744073709551615","revision":"-1"},"kvs":[{"key":"YQ==","mod_revision":"2"},{"key":"YmM=","mod_revision":"2"}],"more":true,"count":"3"}"#;
        check("/etcdserverpb.KV/Range", &response, expected);
    }

    #[test]
    fn enums_and_empty_messages() {
        let deleted = Event { r#type: 1, kv: Some(row("a")), ..Event::default() };
        let events = vec![Event::default(), deleted];
        let response = pb::WatchResponse { events, canceled: true, ..pb::WatchResponse::default() };
        let expected =
            r#"{"canceled":true,"events":[{},{"type":"DELETE","kv":{"key":"YQ==","mod_revision":"2"}}]}"#;
        check("/etcdserverpb.Watch/Watch", &response, expected);
        let perm = vec![authpb::Permission { perm_type: 77, ..authpb::Permission::default() }];
        let response = pb::AuthRoleGetResponse { header: None, perm };
        check("/etcdserverpb.Auth/RoleGet", &response, r#"{"perm":[{"permType":77}]}"#);
    }

    #[test]
    fn texts_are_escaped() {
        let roles = ["\"\\/\n\u{1}é", ""].map(str::to_owned).to_vec();
        let response = pb::AuthUserGetResponse { header: None, roles };
        check("/etcdserverpb.Auth/UserGet", &response, r#"{"roles":["\"\\/\n\u0001é",""]}"#);
    }

    #[test]
    fn operations_of_a_transaction() {
        let op = |response| pb::ResponseOp { response: Some(response) };
        let put = pb::response_op::Response::ResponsePut(pb::PutResponse::default());
        let range = pb::RangeResponse { kvs: vec![row("a")], ..pb::RangeResponse::default() };
        let range = pb::response_op::Response::ResponseRange(range);
        let response = pb::TxnResponse {
            succeeded: true,
            responses: vec![op(put), op(range)],
            ..pb::TxnResponse::default()
        };
        let expected = r#"{"succeeded":true,"responses":[{"response_put":{}},{"response_range":{"kvs":[{"key":"YQ==","mod_revision":"2"}]}}]}"#;
        check("/etcdserverpb.KV/Txn", &response, expected);
    }

    #[test]
    fn fields_that_the_schema_does_not_have() {
        // Field 100 as a varint, as eight bytes and as text, around a count of 1.
        let bytes = b"\xa0\x06\x05\xa1\x06aaaaaaaa\x20\x01\xa2\x06\x03abc";
        for piece in 1..=bytes.len() {
            assert_eq!(json("/etcdserverpb.KV/Range", bytes, piece), r#"{"count":"1"}"#);
        }
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_message_are_an_error_or_text(bytes in prop::collection::vec(any::<u8>(), 0..64), piece in 1_usize..8) {
            let schema = Schema::new(ferretcd_api_proto::FILE_DESCRIPTOR_SET).expect("the gateway knows all types");
            let id = schema.by_grpc_path("/etcdserverpb.KV/Txn").response;
            let mut out = Vec::new();
            let mut encoder = Encoder::new(Arc::new(schema), id, bytes.len(), &mut out);
            let mut pieces = bytes.chunks(piece).map(Bytes::copy_from_slice);
            let result = pieces.try_for_each(|mut piece| encoder.push(&mut piece, &mut out));
            prop_assert!(result.is_err() || encoder.is_done());
            prop_assert!(std::str::from_utf8(&out).is_ok());
        }
    }
}
