//! A row of the store that stays encoded.
//!
//! Rows are stored as `mvccpb.KeyValue` messages, and responses contain `mvccpb.KeyValue` messages: the bytes
//! are the same. As a field of a response the encoded row is written as it is; it is decoded only to look inside.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::{self, DecodeContext, WireType};
use prost::{DecodeError, Message};

use crate::mvccpb::KeyValue;

/// Numbers of the fields of `mvccpb.KeyValue` by their kind; see `proto/mvccpb/kv.proto`.
mod field {
    pub(super) const KEY: u32 = 1;
    pub(super) const CREATE_REVISION: u32 = 2;
    pub(super) const MOD_REVISION: u32 = 3;
    pub(super) const VERSION: u32 = 4;
    pub(super) const VALUE: u32 = 5;
    pub(super) const LEASE: u32 = 6;
}

/// An encoded `mvccpb.KeyValue`.
///
/// Cloning shares the bytes. Equality is that of the bytes: two encodings of the same message may differ, though
/// those that this project writes do not. Encoding copies the bytes into the response and cannot fail; decoding
/// a response that contains one copies field by field, drops unknown fields, and errs where the plain message
/// would err.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct EncodedKeyValue(Bytes);

impl EncodedKeyValue {
    /// Takes bytes that already are an encoded `mvccpb.KeyValue`, as stored rows are. They are not checked:
    /// the receiver of the message does that.
    #[must_use]
    pub fn from_encoded(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The encoded message.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Gives the encoded message back.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Takes the message apart. Key and value share the memory of the encoded message.
    ///
    /// Fails if the bytes given to [`from_encoded`](Self::from_encoded) were no such message.
    pub fn decode(&self) -> Result<KeyValue, DecodeError> {
        // `Message::decode` of this type would be the method of the trait, hence the full path.
        <KeyValue as Message>::decode(self.0.clone())
    }
}

impl From<&KeyValue> for EncodedKeyValue {
    fn from(kv: &KeyValue) -> Self {
        Self(kv.encode_to_vec().into())
    }
}

impl From<KeyValue> for EncodedKeyValue {
    fn from(kv: KeyValue) -> Self {
        Self::from(&kv)
    }
}

/// Shows the message inside, or the bytes if there is none.
impl fmt::Debug for EncodedKeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decode() {
            Ok(kv) => kv.fmt(f),
            Err(_) => f.debug_tuple("EncodedKeyValue").field(&self.0).finish(),
        }
    }
}

impl Message for EncodedKeyValue {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends the field; a later one of the same number wins, as in any message.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            field::KEY | field::VALUE => {
                let mut content = Bytes::new();
                encoding::bytes::merge(wire_type, &mut content, buf, ctx)?;
                self.append(|row| encoding::bytes::encode(tag, &content, row));
            }
            field::CREATE_REVISION | field::MOD_REVISION | field::VERSION | field::LEASE => {
                let mut number = 0;
                encoding::int64::merge(wire_type, &mut number, buf, ctx)?;
                self.append(|row| encoding::int64::encode(tag, &number, row));
            }
            _ => encoding::skip_field(wire_type, tag, buf, ctx)?,
        }
        Ok(())
    }
}

impl EncodedKeyValue {
    fn append(&mut self, write: impl FnOnce(&mut BytesMut)) {
        // While a message is being decoded its bytes are not shared, so this grows them in place.
        let mut row =
            std::mem::take(&mut self.0).try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        write(&mut row);
        self.0 = row.freeze();
    }
}
