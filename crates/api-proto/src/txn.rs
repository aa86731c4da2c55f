//! A transaction, which may contain transactions.
//!
//! It is written by hand because of how it is read: step by step with a list of what is open, not by functions that
//! call each other, so that no request can exhaust the stack of the thread that reads it. The library's own bound would
//! end below what etcd accepts.

use std::borrow::Cow;

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{self, DecodeContext, WireType};
use prost::{DecodeError, Message};

use crate::etcdserverpb::request_op::Request;
use crate::etcdserverpb::{Compare, RequestOp};

/// Numbers of the fields of `etcdserverpb.TxnRequest`, and the one of `RequestOp` that has a transaction; see
/// `proto/etcdserverpb/rpc.proto`.
mod field {
    pub(super) const COMPARE: u32 = 1;
    pub(super) const SUCCESS: u32 = 2;
    pub(super) const FAILURE: u32 = 3;
    pub(super) const REQUEST_TXN: u32 = 4;
}

/// How deep transactions may be nested, the outermost one included. Work on them may call itself so often: this is
/// far from what a thread's stack holds.
pub const TXN_DEPTH_MAX: usize = 512;

/// `etcdserverpb.TxnRequest`: conditions and the operations for either outcome. Nested deeper than [`TXN_DEPTH_MAX`] it
/// cannot be decoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TxnRequest {
    /// All have to hold; none at all holds.
    pub compare: Vec<Compare>,
    /// Executed in order if the conditions hold.
    pub success: Vec<RequestOp>,
    /// Executed in order if they do not.
    pub failure: Vec<RequestOp>,
}

impl Message for TxnRequest {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        encoding::message::encode_repeated(field::COMPARE, &self.compare, buf);
        encoding::message::encode_repeated(field::SUCCESS, &self.success, buf);
        encoding::message::encode_repeated(field::FAILURE, &self.failure, buf);
    }

    fn encoded_len(&self) -> usize {
        encoding::message::encoded_len_repeated(field::COMPARE, &self.compare)
            + encoding::message::encoded_len_repeated(field::SUCCESS, &self.success)
            + encoding::message::encoded_len_repeated(field::FAILURE, &self.failure)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            field::COMPARE => encoding::message::merge_repeated(wire_type, &mut self.compare, buf, ctx),
            field::SUCCESS | field::FAILURE => {
                encoding::check_wire_type(WireType::LengthDelimited, wire_type)?;
                let operation = read_operation(content(buf)?)?;
                self.branch(tag).push(operation);
                Ok(())
            }
            _ => encoding::skip_field(wire_type, tag, buf, ctx),
        }
    }
}

impl TxnRequest {
    fn branch(&mut self, tag: u32) -> &mut Vec<RequestOp> {
        if tag == field::SUCCESS { &mut self.success } else { &mut self.failure }
    }
}

/// An operation that is being read.
struct OpenOperation {
    operation: RequestOp,
    rest: Bytes,
}

/// A transaction that is being read, in an operation.
struct Level {
    around: OpenOperation,
    txn: TxnRequest,
    rest: Bytes,
    /// The branch that its last operation belongs to.
    branch: u32,
}

fn read_operation(bytes: Bytes) -> Result<RequestOp, DecodeError> {
    let mut levels: Vec<Level> = Vec::new();
    let mut open = OpenOperation { operation: RequestOp::default(), rest: bytes };
    loop {
        let mut level = match open.next_transaction()? {
            // Beside the levels there are this one and the outermost transaction.
            Some(_) if levels.len() + 2 > TXN_DEPTH_MAX => return Err(too_deep()),
            Some((txn, rest)) => Level { around: open, txn, rest, branch: field::SUCCESS },
            None => match levels.pop() {
                None => return Ok(open.operation),
                Some(mut level) => {
                    level.txn.branch(level.branch).push(open.operation);
                    level
                }
            },
        };
        open = match level.next_operation()? {
            Some(next) => {
                levels.push(level);
                next
            }
            None => level.close(),
        };
    }
}

impl OpenOperation {
    /// Reads up to the next transaction in it, and returns what is known of that and its bytes; `None` at the end.
    fn next_transaction(&mut self) -> Result<Option<(TxnRequest, Bytes)>, DecodeError> {
        while self.rest.has_remaining() {
            let (tag, wire_type) = encoding::decode_key(&mut self.rest)?;
            if (tag, wire_type) == (field::REQUEST_TXN, WireType::LengthDelimited) {
                // A second one continues the first, as in any message.
                let txn = match self.operation.request.take() {
                    Some(Request::RequestTxn(txn)) => txn,
                    _ => TxnRequest::default(),
                };
                return Ok(Some((txn, content(&mut self.rest)?)));
            }
            self.operation.merge_field(tag, wire_type, &mut self.rest, DecodeContext::default())?;
        }
        Ok(None)
    }
}

impl Level {
    /// Reads up to the next operation of the transaction; `None` at the end.
    fn next_operation(&mut self) -> Result<Option<OpenOperation>, DecodeError> {
        while self.rest.has_remaining() {
            let (tag, wire_type) = encoding::decode_key(&mut self.rest)?;
            if matches!(tag, field::SUCCESS | field::FAILURE) && wire_type == WireType::LengthDelimited {
                self.branch = tag;
                let rest = content(&mut self.rest)?;
                return Ok(Some(OpenOperation { operation: RequestOp::default(), rest }));
            }
            self.txn.merge_field(tag, wire_type, &mut self.rest, DecodeContext::default())?;
        }
        Ok(None)
    }

    /// The operation around it, with the transaction.
    fn close(self) -> OpenOperation {
        let Self { mut around, txn, .. } = self;
        around.operation.request = Some(Request::RequestTxn(txn));
        around
    }
}

/// Takes the content of a field out of `buf`, behind its length.
fn content(buf: &mut impl Buf) -> Result<Bytes, DecodeError> {
    let len = encoding::decode_varint(buf)?;
    match usize::try_from(len) {
        Ok(len) if len <= buf.remaining() => Ok(buf.copy_to_bytes(len)),
        _ => Err(error("buffer underflow")),
    }
}

fn too_deep() -> DecodeError {
    error(format!("exceeded maximum recursion depth, transactions in {TXN_DEPTH_MAX} transactions"))
}

#[expect(deprecated, reason = "the library has no other function for implementations of its trait")]
fn error(description: impl Into<Cow<'static, str>>) -> DecodeError {
    DecodeError::new(description)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcdserverpb::PutRequest;

    fn put(key: &str) -> RequestOp {
        let put = PutRequest { key: Bytes::copy_from_slice(key.as_bytes()), ..PutRequest::default() };
        RequestOp { request: Some(Request::RequestPut(put)) }
    }

    fn nested(txn: TxnRequest) -> RequestOp {
        RequestOp { request: Some(Request::RequestTxn(txn)) }
    }

    /// A transaction in which `depth` are open at the deepest place.
    fn deep(depth: usize) -> TxnRequest {
        (1..depth).fold(
            TxnRequest { success: vec![put("bottom")], ..TxnRequest::default() },
            |inner, level| {
                let operations = vec![put("before"), nested(inner), put("behind")];
                match level % 2 {
                    0 => TxnRequest {
                        success: operations,
                        failure: vec![put("other")],
                        ..TxnRequest::default()
                    },
                    _ => TxnRequest {
                        compare: vec![Compare::default()],
                        failure: operations,
                        ..TxnRequest::default()
                    },
                }
            },
        )
    }

    #[test]
    fn nested_transactions_are_read_up_to_the_bound() {
        for depth in [1, 2, 3, 49, 50, 51, 99, 129, 200, TXN_DEPTH_MAX] {
            let txn = deep(depth);
            assert_eq!(TxnRequest::decode(&txn.encode_to_vec()[..]), Ok(txn), "{depth} deep");
        }
        let error = TxnRequest::decode(&deep(TXN_DEPTH_MAX + 1).encode_to_vec()[..]).expect_err("too deep");
        assert!(
            error.to_string().ends_with("exceeded maximum recursion depth, transactions in 512 transactions"),
            "{error}"
        );
    }

    #[test]
    fn a_hundred_thousand_levels_are_an_error() {
        // Inner fields are shorter, so their headers are made first.
        let mut headers = Vec::new();
        let mut len = 0;
        for level in 0..200_000 {
            let tag = if level % 2 == 0 { field::REQUEST_TXN } else { field::SUCCESS };
            let mut header = Vec::new();
            encoding::encode_key(tag, WireType::LengthDelimited, &mut header);
            encoding::encode_varint(len, &mut header);
            len += header.len() as u64;
            headers.push(header);
        }
        let bytes: Vec<u8> = headers.into_iter().rev().flatten().collect();
        let error = TxnRequest::decode(&bytes[..]).expect_err("it is far too deep");
        assert!(error.to_string().contains("maximum recursion depth"), "{error}");
    }

    #[test]
    fn fields_may_come_in_any_order_and_twice() {
        let txn = |bytes: &[u8]| TxnRequest::decode(bytes);
        let (a, b) = (put("a"), put("b"));
        let field = |tag, content: &[u8]| {
            let mut bytes = Vec::new();
            encoding::encode_key(tag, WireType::LengthDelimited, &mut bytes);
            encoding::encode_varint(content.len() as u64, &mut bytes);
            [&bytes, content].concat()
        };
        let one =
            |operation: &RequestOp| TxnRequest { success: vec![operation.clone()], ..TxnRequest::default() };
        // A transaction in two parts is one.
        let parts = [field(4, &one(&a).encode_to_vec()), field(4, &one(&b).encode_to_vec())].concat();
        let whole = TxnRequest { success: vec![a.clone(), b.clone()], ..TxnRequest::default() };
        assert_eq!(txn(&field(2, &parts)), Ok(one(&nested(whole))));
        // Of different requests the last one counts.
        let changed = [field(4, &one(&a).encode_to_vec()), b.encode_to_vec()].concat();
        assert_eq!(txn(&field(3, &changed)), Ok(TxnRequest { failure: vec![b], ..TxnRequest::default() }));
        // Unknown fields are skipped at every level.
        let unknown =
            [field(9, b"?"), field(4, &[field(9, b"?"), one(&a).encode_to_vec()].concat())].concat();
        assert_eq!(txn(&[field(9, b"?"), field(2, &unknown)].concat()), Ok(one(&nested(one(&a)))));
    }

    #[test]
    fn damaged_bytes_are_errors() {
        let bytes = deep(4).encode_to_vec();
        for end in 0..bytes.len() {
            // Most are errors; all return.
            let _ = TxnRequest::decode(&bytes[..end]);
        }
        for (bytes, part) in [
            (&b"\x12\x05\x22"[..], "buffer underflow"),
            (b"\x12\x03\x22\x09\x12", "buffer underflow"),
            (b"\x10\x05", "wire type"),
            (b"\x12\x02\x20\x05", "wire type"),
            (b"\x12\x04\x22\x02\x10\x05", "wire type"),
        ] {
            let error = TxnRequest::decode(bytes).expect_err("it is damaged").to_string();
            assert!(error.contains(part), "{bytes:x?}: {error}");
        }
    }
}
