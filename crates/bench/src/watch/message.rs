//! Reads the responses of a Watch stream as their bytes arrive: tags are walked, only the fields that are measured
//! are decoded, and no event costs an allocation.
//!
//! ```text
//!  DATA   |0|length| header | watch_id | created ... | event | event | eve   one message, cut anywhere
//!  DATA   nt | event |0|length| header ...
//! ```
//! Whole fields are taken as they come; the piece of a field at the end of a frame waits for the next one.

use crate::http2::GRPC_HEAD_BYTES;
use crate::protobuf::Field;

/// The messages of one stream.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The beginning of a field or of a message's head, whose rest has not arrived.
    piece: Vec<u8>,
    /// Bytes of the current message that have not been taken; `None` between two messages.
    left: Option<usize>,
    response: Response,
}

/// A message without its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) watch_id: i64,
    pub(super) created: bool,
    pub(super) canceled: bool,
    pub(super) compact_revision: i64,
    pub(super) reason: String,
    n_events: usize,
}

/// What the generator wants to know of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Event<'a> {
    pub(super) is_delete: bool,
    pub(super) key: &'a [u8],
    pub(super) mod_revision: i64,
    pub(super) version: i64,
    pub(super) value: &'a [u8],
}

/// The next thing that a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming<'a> {
    /// An event of the watch with this id.
    Event(i64, Event<'a>),
    /// The end of a message.
    Response(&'a Response),
}

/// These are not messages of the Watch service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Messages {
    /// Takes in the payload of one DATA frame.
    pub(super) fn feed(
        &mut self,
        payload: &[u8],
        mut emit: impl FnMut(Incoming<'_>),
    ) -> Result<(), Malformed> {
        if self.piece.is_empty() {
            let taken = self.walk(payload, &mut emit)?;
            self.piece.extend_from_slice(&payload[taken..]);
            return Ok(());
        }
        let mut piece = std::mem::take(&mut self.piece);
        piece.extend_from_slice(payload);
        let taken = self.walk(&piece, &mut emit)?;
        piece.drain(..taken);
        self.piece = piece;
        Ok(())
    }

    /// Takes whole fields and heads; the number of bytes that these were.
    fn walk(&mut self, bytes: &[u8], emit: &mut impl FnMut(Incoming<'_>)) -> Result<usize, Malformed> {
        let mut taken = 0;
        loop {
            let left = match self.left {
                Some(left) => left,
                None => {
                    let Some(head) = bytes[taken..].first_chunk::<GRPC_HEAD_BYTES>() else { break };
                    let [compressed, length @ ..] = *head;
                    if compressed != 0 {
                        return Err(Malformed);
                    }
                    taken += GRPC_HEAD_BYTES;
                    self.response = Response::default();
                    u32::from_be_bytes(length) as usize
                }
            };
            self.left = Some(left);
            if left == 0 {
                self.left = None;
                emit(Incoming::Response(&self.response));
                continue;
            }
            let available = &bytes[taken..bytes.len().min(taken + left)];
            let mut rest = available;
            let Some(field) = Field::take(&mut rest) else {
                if available.len() == left {
                    // No more bytes will come for it.
                    return Err(Malformed);
                }
                break;
            };
            self.field(field, emit)?;
            let n_bytes = available.len() - rest.len();
            taken += n_bytes;
            self.left = Some(left - n_bytes);
        }
        Ok(taken)
    }

    /// Takes in a field of a `WatchResponse`.
    fn field(&mut self, field: Field<'_>, emit: &mut impl FnMut(Incoming<'_>)) -> Result<(), Malformed> {
        let response = &mut self.response;
        match field {
            Field::Bytes(11, event) => {
                response.n_events += 1;
                emit(Incoming::Event(response.watch_id, Event::read(event)?));
            }
            // Events are handed on as they come, so the watch must be known by then.
            Field::Number(2, _) if response.n_events > 0 => return Err(Malformed),
            Field::Number(2, id) => response.watch_id = id as i64,
            Field::Number(3, created) => response.created = created != 0,
            Field::Number(4, canceled) => response.canceled = canceled != 0,
            Field::Number(5, revision) => response.compact_revision = revision as i64,
            Field::Bytes(6, reason) => response.reason = String::from_utf8_lossy(reason).into_owned(),
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Event<'a> {
    /// Reads an `mvccpb.Event` with the `mvccpb.KeyValue` in it.
    fn read(mut bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut event = Event::default();
        while !bytes.is_empty() {
            match Field::take(&mut bytes).ok_or(Malformed)? {
                Field::Number(1, kind) => event.is_delete = kind != 0,
                Field::Bytes(2, kv) => event.read_kv(kv)?,
                _ => {}
            }
        }
        Ok(event)
    }

    fn read_kv(&mut self, mut bytes: &'a [u8]) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            match Field::take(&mut bytes).ok_or(Malformed)? {
                Field::Bytes(1, key) => self.key = key,
                Field::Number(3, revision) => self.mod_revision = revision as i64,
                Field::Number(4, version) => self.version = version as i64,
                Field::Bytes(5, value) => self.value = value,
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_api_proto::etcdserverpb::{ResponseHeader, WatchResponse};
    use ferretcd_api_proto::mvccpb;
    use prost::Message as _;

    use super::*;

    fn event(key: &'static str, mod_revision: i64, version: i64) -> mvccpb::Event {
        let value = vec![b'v'; 40 * version as usize];
        let kv = mvccpb::KeyValue {
            key: key.as_bytes().into(),
            create_revision: 2,
            mod_revision,
            version,
            value: value.into(),
            lease: 7,
        };
        mvccpb::Event { kv: Some(kv.clone().into()), prev_kv: Some(kv.into()), ..Default::default() }
    }

    fn framed(responses: &[WatchResponse]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for response in responses {
            bytes.push(0);
            bytes.extend_from_slice(&u32::try_from(response.encoded_len()).unwrap().to_be_bytes());
            response.encode(&mut bytes).unwrap();
        }
        bytes
    }

    fn heard(messages: &mut Messages, pieces: &[&[u8]]) -> Result<Vec<String>, Malformed> {
        let mut lines = Vec::new();
        for piece in pieces {
            messages.feed(piece, |said| {
                lines.push(match said {
                    Incoming::Event(id, event) => {
                        let key = String::from_utf8_lossy(event.key);
                        let (revision, version) = (event.mod_revision, event.version);
                        format!("{id}: {key}@{revision}.{version} {}", event.value.len())
                    }
                    Incoming::Response(response) if response.created => {
                        format!("{}: created", response.watch_id)
                    }
                    Incoming::Response(response) if response.canceled => {
                        format!("{}: {}", response.watch_id, response.reason)
                    }
                    Incoming::Response(response) => {
                        format!("{}: end of {}", response.watch_id, response.n_events)
                    }
                });
            })?;
        }
        Ok(lines)
    }

    #[test]
    fn messages_are_the_same_however_they_are_cut() {
        let header = || Some(ResponseHeader { cluster_id: u64::MAX, revision: 300, ..Default::default() });
        let bytes = framed(&[
            WatchResponse { header: header(), watch_id: 5, created: true, ..Default::default() },
            WatchResponse::default(),
            WatchResponse {
                header: header(),
                watch_id: 5,
                events: vec![event("a", 299, 1), event("b", 300, 9)],
                ..Default::default()
            },
            WatchResponse { watch_id: -1, canceled: true, cancel_reason: "no".into(), ..Default::default() },
        ]);
        let expected =
            ["5: created", "0: end of 0", "5: a@299.1 40", "5: b@300.9 360", "5: end of 2", "-1: no"];
        let mut messages = Messages::default();
        for first in 0..bytes.len() {
            for second in [first, (first + 3).min(bytes.len()), bytes.len()] {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(heard(&mut messages, &pieces).unwrap(), expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn what_is_not_a_message_is_noticed() {
        for bytes in [
            // Compressed; a field that is longer than its message; a number that does not end; a fixed-width field.
            &[1, 0, 0, 0, 0][..],
            &[0, 0, 0, 0, 2, 0x5a, 1, 0],
            &[0, 0, 0, 0, 2, 0x10, 0x80],
            &[0, 0, 0, 0, 5, 0x15, 0, 0, 0, 0],
            // An event without a whole key-value pair, and an id behind the events.
            &[0, 0, 0, 0, 4, 0x5a, 2, 0x12, 1],
            &[0, 0, 0, 0, 4, 0x5a, 0, 0x10, 1],
        ] {
            assert_eq!(heard(&mut Messages::default(), &[bytes]), Err(Malformed), "{bytes:?}");
        }
    }
}
