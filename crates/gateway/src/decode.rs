//! JSON requests as protobuf messages.
//!
//! Accepts what the JSON mapping of proto3 allows: both names of a field, integers as numbers or in quotes, enums by name
//! or number, both alphabets of base64. Unknown fields are ignored. Texts of errors are those of Go's `protojson`, which
//! reads requests in etcd.

use std::borrow::Cow;
use std::sync::LazyLock;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, Encoding};
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::integers;
use crate::json::tokens::{Token, Tokens};
use crate::schema::{Field, Kind, Message, MessageId, Schema};

/// The bytes of a message are moved to make room for its length, which is not known before. This deep they may be moved once
/// more for each level; below it a length has [`PADDED_BYTES`] from the beginning, which readers take as well.
const MOVED_DEPTH_MAX: usize = 16;
/// Bytes of a length that is written with room to spare: enough for what gRPC carries.
const PADDED_BYTES: usize = 5;

/// Appends the message that a JSON value stands for to `out`.
///
/// `text` is one value that the scanner has found to be well-formed. The stack that is needed does not depend on it.
pub(crate) fn decode(schema: &Schema, id: MessageId, text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let mut decoder = Decoder { schema, tokens: Tokens::new(text), out, open: Vec::new() };
    match decoder.tokens.next()? {
        Token::ObjectOpen => {}
        _ => return Err(decoder.tokens.unexpected()),
    }
    decoder.open.push(Open::new(schema.message(id), 0));
    while let Some(open) = decoder.open.last_mut() {
        match open.elements {
            Some(field) => decoder.element(field)?,
            None => decoder.field()?,
        }
    }
    Ok(())
}

struct Decoder<'a> {
    schema: &'a Schema,
    tokens: Tokens<'a>,
    out: &'a mut Vec<u8>,
    /// The messages that the next token is within, from the outside in.
    open: Vec<Open<'a>>,
}

/// A message whose end has not been read.
struct Open<'a> {
    message: &'a Message,
    /// Where its bytes begin, behind its length.
    start: usize,
    /// One bit for each field that has occurred, and for each oneof.
    seen: u64,
    oneofs: u64,
    /// The repeated field of messages whose elements are being read.
    elements: Option<&'a Field>,
}

impl<'a> Open<'a> {
    fn new(message: &'a Message, start: usize) -> Self {
        Self { message, start, seen: 0, oneofs: 0, elements: None }
    }
}

impl<'a> Decoder<'a> {
    /// An element of an array of messages, or the array's end.
    fn element(&mut self, field: &'a Field) -> Result<(), String> {
        match self.tokens.next()? {
            Token::ArrayClose => {
                self.innermost().elements = None;
                Ok(())
            }
            Token::ObjectOpen => {
                self.begin(field);
                Ok(())
            }
            _ => Err(self.tokens.unexpected()),
        }
    }

    /// A field of the innermost message, or the message's end.
    fn field(&mut self) -> Result<(), String> {
        let name = match self.tokens.next()? {
            Token::String(name) => name,
            Token::ObjectClose => {
                self.end();
                return Ok(());
            }
            _ => return Err(self.tokens.unexpected()),
        };
        let message = self.innermost().message;
        let Some(position) = message.position(&name) else { return self.tokens.skip_value() };
        let field = &message.fields[position];
        let bit = 1_u64 << (position & 63);
        if self.innermost().seen & bit != 0 {
            let what = format!("duplicate field {}", self.tokens.raw());
            return Err(self.error(&what));
        }
        self.innermost().seen |= bit;
        if self.tokens.peek() == b'n' {
            return self.tokens.skip_value();
        }
        if field.is_repeated {
            return self.elements(field);
        }
        if let Some(oneof) = field.oneof {
            let bit = 1_u64 << (oneof & 63);
            if self.innermost().oneofs & bit != 0 {
                let (name, oneof) = (self.tokens.raw(), &message.oneofs[oneof]);
                let what = format!("error parsing {name}, oneof {oneof} is already set");
                return Err(self.error(&what));
            }
            self.innermost().oneofs |= bit;
        }
        match field.kind {
            Kind::Message(_) => match self.tokens.next()? {
                Token::ObjectOpen => {
                    self.begin(field);
                    Ok(())
                }
                _ => Err(self.tokens.unexpected()),
            },
            _ => {
                let token = self.tokens.next()?;
                self.scalar(field, token)
            }
        }
    }

    /// The array of a repeated field; its messages are read one by one afterwards.
    fn elements(&mut self, field: &'a Field) -> Result<(), String> {
        if self.tokens.next()? != Token::ArrayOpen {
            return Err(self.tokens.unexpected());
        }
        if let Kind::Message(_) = field.kind {
            self.innermost().elements = Some(field);
            return Ok(());
        }
        loop {
            match self.tokens.next()? {
                Token::ArrayClose => return Ok(()),
                token => self.scalar(field, token)?,
            }
        }
    }

    fn scalar(&mut self, field: &Field, token: Token<'_>) -> Result<(), String> {
        let bytes = match (field.kind, &token) {
            (Kind::String, Token::String(text)) => Some(Cow::Borrowed(text.as_bytes())),
            (Kind::Bytes, Token::String(text)) => base64(text).map(Cow::Owned),
            _ => None,
        };
        if let Some(bytes) = bytes {
            if is_written(field, bytes.is_empty()) {
                encode_key(field.number, WireType::LengthDelimited, self.out);
                encode_varint(bytes.len() as u64, self.out);
                self.out.extend_from_slice(&bytes);
            }
            return Ok(());
        }
        let value = match (field.kind, token) {
            (Kind::Bool, Token::Bool(value)) => Some(u64::from(value)),
            (Kind::Enum(id), Token::String(name)) => self.schema.enumeration(id).number(&name).map(signed_32),
            (Kind::Enum(_), Token::Number(number)) => integer::<i32>(number).map(signed_32),
            (Kind::Int32, token) => quoted_integer::<i32>(&token).map(signed_32),
            (Kind::Int64, token) => quoted_integer::<i64>(&token).map(i64::cast_unsigned),
            (Kind::Uint32, token) => quoted_integer::<u32>(&token).map(u64::from),
            (Kind::Uint64, token) => quoted_integer::<u64>(&token),
            _ => None,
        };
        let Some(value) = value else { return Err(self.invalid(field)) };
        if is_written(field, value == 0) {
            encode_key(field.number, WireType::Varint, self.out);
            encode_varint(value, self.out);
        }
        Ok(())
    }

    /// Begins a message that is the value of a field.
    fn begin(&mut self, field: &'a Field) {
        let Kind::Message(id) = field.kind else { return };
        encode_key(field.number, WireType::LengthDelimited, self.out);
        if self.open.len() > MOVED_DEPTH_MAX {
            self.out.extend_from_slice(&[0; PADDED_BYTES]);
        }
        self.open.push(Open::new(self.schema.message(id), self.out.len()));
    }

    /// Ends the innermost message, and writes its length unless it is the outermost.
    fn end(&mut self) {
        let Some(Open { start, .. }) = self.open.pop() else { return };
        let n_bytes = self.out.len() - start;
        if self.open.is_empty() {
            return;
        }
        if self.open.len() > MOVED_DEPTH_MAX {
            let room = &mut self.out[start - PADDED_BYTES..start];
            for (i, byte) in room.iter_mut().enumerate() {
                let more = if i + 1 < PADDED_BYTES { 0x80 } else { 0 };
                *byte = u8::try_from((n_bytes >> (7 * i)) & 0x7f).unwrap_or(0) | more;
            }
            return;
        }
        encode_varint(n_bytes as u64, self.out);
        self.out[start..].rotate_right(prost::length_delimiter_len(n_bytes));
    }

    fn innermost(&mut self) -> &mut Open<'a> {
        self.open.last_mut().expect("a token was read within a message")
    }

    fn invalid(&self, field: &Field) -> String {
        let (kind, name, value) = (field.kind.name(), &field.json_name, self.tokens.raw());
        self.error(&format!("invalid value for {kind} field {name}: {value}"))
    }

    /// An error at the last token.
    fn error(&self, what: &str) -> String {
        let (line, column) = self.tokens.position(self.tokens.start());
        format!("proto: (line {line}:{column}): {what}")
    }
}

/// Whether a value stands on the wire: zeros do not, unless they say more than that they are zero.
fn is_written(field: &Field, is_zero: bool) -> bool {
    !is_zero || field.is_repeated || field.oneof.is_some()
}

/// A negative number of 32 bits has the bytes of one of 64.
fn signed_32(number: i32) -> u64 {
    i64::from(number).cast_unsigned()
}

fn integer<T: std::str::FromStr>(number: &str) -> Option<T> {
    integers::digits(number)?.parse().ok()
}

/// An integer, as a number or in quotes.
fn quoted_integer<T: std::str::FromStr>(token: &Token<'_>) -> Option<T> {
    match token {
        Token::Number(number) => integer(number),
        Token::String(text) => integer(Some(text).filter(|text| is_number(text))?),
        _ => None,
    }
}

/// Whether a text is a JSON number, and nothing else.
fn is_number(text: &str) -> bool {
    use crate::json::scanner::Scanner;

    let mut scanner = Scanner::new();
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && scanner.scan(text.as_bytes()) == Ok(None)
        && scanner.finish() == Ok(true)
}

/// Padded and not, of either alphabet. As in Go, bits that fill the last character up do not matter.
static STANDARD: LazyLock<[Encoding; 2]> = LazyLock::new(|| [BASE64, BASE64_NOPAD].map(lenient));
static URL_SAFE: LazyLock<[Encoding; 2]> = LazyLock::new(|| [BASE64URL, BASE64URL_NOPAD].map(lenient));

fn lenient(encoding: Encoding) -> Encoding {
    let mut form = encoding.specification();
    form.check_trailing_bits = false;
    form.encoding().expect("it is well-formed")
}

/// Reads base64 as Go does: the length tells whether it is padded, and line ends do not matter.
fn base64(text: &str) -> Option<Vec<u8>> {
    // The library would take several padded texts, one behind the other.
    if text.trim_end_matches(['=', '\r', '\n']).contains('=') {
        return None;
    }
    let forms = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let form = &forms[usize::from(!text.len().is_multiple_of(4))];
    if text.contains(['\r', '\n']) {
        return form.decode(text.replace(['\r', '\n'], "").as_bytes()).ok();
    }
    form.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use ferretcd_api_proto::etcdserverpb as pb;
    use prost::Message as _;

    use super::*;

    fn schema() -> Schema {
        Schema::new(ferretcd_api_proto::FILE_DESCRIPTOR_SET).expect("the gateway knows all types")
    }

    fn read(grpc_path: &str, text: &str) -> Result<Vec<u8>, String> {
        let schema = schema();
        let mut out = Vec::new();
        decode(&schema, schema.by_grpc_path(grpc_path).request, text.as_bytes(), &mut out)?;
        Ok(out)
    }

    fn range(text: &str) -> Result<pb::RangeRequest, String> {
        read("/etcdserverpb.KV/Range", text)
            .map(|bytes| pb::RangeRequest::decode(&*bytes).expect("a message"))
    }

    fn txn(text: &str) -> Result<pb::TxnRequest, String> {
        read("/etcdserverpb.KV/Txn", text).map(|bytes| pb::TxnRequest::decode(&*bytes).expect("a message"))
    }

    #[test]
    fn both_names_of_a_field() {
        let expected = Ok(pb::RangeRequest { range_end: "b".into(), ..pb::RangeRequest::default() });
        assert_eq!(range(r#"{"range_end":"Yg=="}"#), expected);
        assert_eq!(range(r#"{"rangeEnd":"Yg=="}"#), expected);
        assert_eq!(range(r#"{"range_end":"Yg==","unknown":{"a":[1,{"b":"c"}]},"x":1}"#), expected);
    }

    #[test]
    fn forms_of_base64() {
        let key = |text: &str| range(&format!(r#"{{"key":"{text}"}}"#)).map(|request| request.key.to_vec());
        for (text, bytes) in [
            ("", &b""[..]),
            ("YQ==", b"a"),
            ("YQ", b"a"),
            ("YR==", b"a"),
            ("+/+/", b"\xfb\xff\xbf"),
            ("-_-_", b"\xfb\xff\xbf"),
            ("-_8=", b"\xfb\xff"),
            ("-_8", b"\xfb\xff"),
            ("YWJj\\nZGVm", b"abcdef"),
        ] {
            assert_eq!(key(text), Ok(bytes.to_vec()), "{text}");
        }
        for text in ["=", "Y", "YQ=", "YQ===", "Y!==", "-_+/", "YQ==YQ=="] {
            let expected = format!("proto: (line 1:8): invalid value for bytes field key: \"{text}\"");
            assert_eq!(key(text), Err(expected));
        }
    }

    #[test]
    fn forms_of_integers() {
        let limit = |text: &str| range(&format!(r#"{{"limit":{text}}}"#)).map(|request| request.limit);
        for (text, expected) in
            [("7", 7), ("\"7\"", 7), ("-1", -1), ("1.0", 1), ("\"1.0\"", 1), ("1e3", 1000), ("null", 0)]
        {
            assert_eq!(limit(text), Ok(expected), "{text}");
        }
        for text in ["1.5", "\" 1\"", "\"0x10\"", "\"\"", "true", "\"1 2\"", "9223372036854775808"] {
            let expected = format!("proto: (line 1:10): invalid value for int64 field limit: {text}");
            assert_eq!(limit(text), Err(expected));
        }
        assert!(limit("{}").expect_err("it is no number").ends_with("field limit: {"));
    }

    #[test]
    fn forms_of_enums_and_booleans() {
        let order =
            |text: &str| range(&format!(r#"{{"sort_order":{text}}}"#)).map(|request| request.sort_order);
        assert_eq!(order("\"DESCEND\""), Ok(2));
        assert_eq!(order("2"), Ok(2));
        assert_eq!(order("77"), Ok(77));
        assert_eq!(
            order("\"descend\""),
            Err("proto: (line 1:15): invalid value for enum field sortOrder: \"descend\"".to_owned())
        );
        let keys_only =
            |text: &str| range(&format!(r#"{{"keys_only":{text}}}"#)).map(|request| request.keys_only);
        assert_eq!(keys_only("true"), Ok(true));
        for text in ["1", "\"true\"", "[]"] {
            assert!(keys_only(text).is_err(), "{text}");
        }
    }

    #[test]
    fn repeated_enums() {
        let text = r#"{"create_request":{"key":"YQ==","filters":["NOPUT",1,0]}}"#;
        let bytes = read("/etcdserverpb.Watch/Watch", text).expect("it is well-formed");
        let request = pb::WatchRequest::decode(&*bytes).expect("a message");
        let Some(pb::watch_request::RequestUnion::CreateRequest(create)) = request.request_union else {
            panic!("{request:?}")
        };
        assert_eq!(create.filters, [0, 1, 0]);
    }

    #[test]
    fn oneofs_and_messages_within_messages() {
        let request = txn(
            r#"{"compare":[{"target":"CREATE","key":"YQ==","create_revision":"0"}],
                "success":[{"request_put":{"key":"YQ==","value":"Yg=="}},{"request_txn":{"failure":[{"request_range":null}]}}]}"#,
        )
        .expect("it is well-formed");
        let zero = pb::compare::TargetUnion::CreateRevision(0);
        assert_eq!(request.compare[0].target_union, Some(zero), "a zero that was written counts");
        let Some(pb::request_op::Request::RequestPut(put)) = &request.success[0].request else {
            panic!("{request:?}")
        };
        assert_eq!((&*put.key, &*put.value), (&b"a"[..], &b"b"[..]));
        let Some(pb::request_op::Request::RequestTxn(inner)) = &request.success[1].request else {
            panic!("{request:?}")
        };
        assert_eq!(inner.failure, [pb::RequestOp { request: None }], "an operation without a request");
    }

    #[test]
    fn what_is_said_twice() {
        assert_eq!(
            range(r#"{"range_end":"YQ==","rangeEnd":"YQ=="}"#),
            Err("proto: (line 1:21): duplicate field \"rangeEnd\"".to_owned())
        );
        assert_eq!(
            txn(r#"{"success":[{"request_put":{},"request_range":{}}]}"#),
            Err("proto: (line 1:31): error parsing \"request_range\", oneof etcdserverpb.RequestOp.request is already set"
                .to_owned())
        );
    }

    #[test]
    fn other_values_than_the_schema_has() {
        for (text, expected) in [
            ("null", "proto: syntax error (line 1:1): unexpected token null"),
            ("[]", "proto: syntax error (line 1:1): unexpected token ["),
            ("\"a\"", "proto: syntax error (line 1:1): unexpected token \"a\""),
            ("-1.5", "proto: syntax error (line 1:1): unexpected token -1.5"),
            ("{\"success\":{}}", "proto: syntax error (line 1:12): unexpected token {"),
            ("{\"success\":[\n1]}", "proto: syntax error (line 2:1): unexpected token 1"),
            ("{\"success\":[null]}", "proto: syntax error (line 1:13): unexpected token null"),
            ("{\"success\":[{\"request_put\":[]}]}", "proto: syntax error (line 1:28): unexpected token ["),
        ] {
            assert_eq!(txn(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        for depth in [1, 8, 20, 200] {
            let (open, close) = (r#"{"success":[{"request_txn":"#.repeat(depth), "}]}".repeat(depth));
            let value = "A".repeat(4000);
            let inner = format!(r#"{{"success":[{{"request_put":{{"value":"{value}"}}}}]}}"#);
            let mut request = txn(&format!("{open}{inner}{close}")).expect("it is well-formed");
            for _ in 0..depth {
                let Some(pb::request_op::Request::RequestTxn(inner)) = request.success.remove(0).request
                else {
                    panic!("{depth}")
                };
                request = inner;
            }
            let Some(pb::request_op::Request::RequestPut(put)) = request.success.remove(0).request else {
                panic!("{depth}")
            };
            assert_eq!(put.value, vec![0; 3000]);
        }
    }
}
