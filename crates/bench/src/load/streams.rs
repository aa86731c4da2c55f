//! Calls that stay open: each renews a lease of its own, again and again, one renewal after the other.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use crate::Outcome;
use crate::http2::frame::{self, Head};
use crate::http2::{GRPC_HEAD_BYTES, Wire};
use crate::protobuf::Field;
use crate::requests::{Requests, lease_id};

/// A stream's window is topped up after this much.
const STREAM_STEP: u32 = 256 << 20;
/// A response is a header and two numbers.
const RESPONSE_BYTES_MAX: usize = 1024;

/// The streams of a connection.
#[derive(Debug)]
pub(super) struct Streams {
    /// The number of the first stream's lease; the others follow.
    first: u64,
    /// The nth has the id 2n + 1.
    all: Vec<Stream>,
    /// Those that wait for nothing. All are here in the beginning, so that they are opened in the order of their
    /// ids.
    idle: VecDeque<usize>,
    /// Ids and increments of windows that are to be topped up.
    to_widen: Vec<(u32, u32)>,
}

#[derive(Debug, Default)]
struct Stream {
    is_open: bool,
    /// When the outstanding renewal was sent.
    start: Option<Instant>,
    /// Bytes of DATA sent, and how many the server has taken more than the window that a stream begins with.
    sent: u64,
    widened: u64,
    /// The beginning of a response whose rest has not arrived.
    piece: Vec<u8>,
    /// Received since the last window update.
    unannounced: u32,
}

impl Streams {
    /// For the leases with these numbers; nothing is sent yet.
    pub(super) fn new(numbers: Range<usize>) -> Self {
        let all: Vec<Stream> = numbers.clone().map(|_| Stream::default()).collect();
        Self { first: numbers.start as u64, idle: (0..all.len()).collect(), all, to_widen: Vec::new() }
    }

    /// Is a stream free that may send so many bytes?
    pub(super) fn has_room(&self, wire: &Wire, message_bytes: usize) -> bool {
        // The first one has rested longest. If its window is too narrow the others' are nearly so.
        self.idle.front().is_some_and(|number| {
            let stream = &self.all[*number];
            // The server may change the first part while streams are open, and means all of them.
            stream.sent + message_bytes as u64 <= wire.stream_window() as u64 + stream.widened
        })
    }

    pub(super) fn n_open(&self) -> usize {
        self.all.len() - self.idle.len()
    }

    /// Sends the next renewal on a stream that is free. Its latency counts from `start`.
    pub(super) fn send(&mut self, wire: &mut Wire, requests: &mut Requests, start: Instant) {
        let number = self.idle.pop_front().expect("the caller has checked that there is room");
        let id = (2 * number + 1) as u32;
        let stream = &mut self.all[number];
        if !stream.is_open {
            stream.is_open = true;
            wire.begin(id);
        }
        let message = requests.numbered(self.first + number as u64, start);
        wire.send(id, message, false);
        stream.sent += message.len() as u64;
        stream.start = Some(start);
    }

    /// Takes in one frame; gives the start of the renewal that it completes, and whether the lease lives on.
    pub(super) fn frame(&mut self, head: Head, payload: &[u8]) -> Outcome<Option<(Instant, bool)>> {
        let number = (head.stream / 2) as usize;
        let stream = self.all.get_mut(number).ok_or("the server has made up a stream")?;
        let ends = head.flags & frame::END_STREAM != 0;
        match head.kind {
            frame::RST_STREAM => return Err("the server has reset a stream of renewals".into()),
            frame::HEADERS | frame::DATA if ends => {
                return Err("the server has ended a stream of renewals".into());
            }
            frame::WINDOW_UPDATE => {
                let increment = *payload.first_chunk().ok_or("a window update without a number")?;
                stream.widened += u64::from(u32::from_be_bytes(increment));
                return Ok(None);
            }
            frame::DATA if head.flags & frame::PADDED != 0 => {
                return Err("a frame is padded, which this client does not understand".into());
            }
            frame::DATA => {}
            _ => return Ok(None),
        }
        stream.unannounced += payload.len() as u32;
        if stream.unannounced >= STREAM_STEP {
            self.to_widen.push((head.stream, std::mem::take(&mut stream.unannounced)));
        }
        let Some(renewed) = stream.feed(payload)? else { return Ok(None) };
        let start = stream.start.take().ok_or("the server has answered a renewal that was not asked for")?;
        self.idle.push_back(number);
        let lives = renewed.ttl > 0 && renewed.id == lease_id(self.first + number as u64);
        Ok(Some((start, lives)))
    }

    /// Tops up the windows that need it.
    pub(super) fn widen(&mut self, wire: &mut Wire) {
        for (stream, increment) in self.to_widen.drain(..) {
            wire.widen(stream, increment);
        }
    }
}

impl Stream {
    /// Takes in the payload of a DATA frame; the response that it completes. There is at most one, because one
    /// request is outstanding.
    fn feed(&mut self, payload: &[u8]) -> Outcome<Option<Renewed>> {
        if self.piece.is_empty() {
            let renewed = Renewed::read(payload)?;
            if renewed.is_none() {
                self.piece.extend_from_slice(payload);
            }
            return Ok(renewed);
        }
        self.piece.extend_from_slice(payload);
        let renewed = Renewed::read(&self.piece)?;
        if renewed.is_some() {
            self.piece.clear();
        }
        Ok(renewed)
    }
}

/// What a response says about a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Renewed {
    id: i64,
    ttl: i64,
}

impl Renewed {
    /// Reads a `LeaseKeepAliveResponse` with gRPC's head; `None` when it is not whole. Nothing may follow it.
    fn read(bytes: &[u8]) -> Outcome<Option<Self>> {
        let malformed = || "the server has sent something that is no answer to a renewal".into();
        let Some((head, mut fields)) = bytes.split_first_chunk::<GRPC_HEAD_BYTES>() else { return Ok(None) };
        let [compressed, length @ ..] = *head;
        let length = u32::from_be_bytes(length) as usize;
        if compressed != 0 || length > RESPONSE_BYTES_MAX || fields.len() > length {
            return Err(malformed());
        }
        if fields.len() < length {
            return Ok(None);
        }
        let mut renewed = Self::default();
        while !fields.is_empty() {
            match Field::take(&mut fields).ok_or_else(malformed)? {
                Field::Number(2, id) => renewed.id = id as i64,
                Field::Number(3, ttl) => renewed.ttl = ttl as i64,
                _ => {}
            }
        }
        Ok(Some(renewed))
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_api_proto::etcdserverpb::{LeaseKeepAliveResponse, ResponseHeader};
    use prost::Message as _;

    use super::*;

    fn response(number: u64, ttl: i64) -> Vec<u8> {
        let header = Some(ResponseHeader { cluster_id: u64::MAX, revision: 300, ..Default::default() });
        let response = LeaseKeepAliveResponse { header, id: lease_id(number), ttl };
        let mut bytes = vec![0];
        bytes.extend_from_slice(&u32::try_from(response.encoded_len()).unwrap().to_be_bytes());
        response.encode(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn responses_are_the_same_however_they_are_cut() {
        let bytes = response(9, 600);
        let expected = Renewed { id: lease_id(9), ttl: 600 };
        for cut in 0..bytes.len() {
            let mut stream = Stream::default();
            assert_eq!(stream.feed(&bytes[..cut]).unwrap(), None, "cut at {cut}");
            for _ in 0..2 {
                assert_eq!(stream.feed(&bytes[cut..]).unwrap(), Some(expected), "cut at {cut}");
                stream.feed(&bytes[..cut]).unwrap();
            }
        }
        for malformed in [&[1, 0, 0, 0, 0][..], &[0, 0, 0, 0, 1, 0x10], &[0, 0, 0, 0, 0, 0], &[0, 9, 0, 0, 0]]
        {
            assert!(Stream::default().feed(malformed).is_err(), "{malformed:?}");
        }
    }

    #[test]
    fn only_a_lease_that_lives_is_renewed() {
        let now = Instant::now();
        // The second of the streams is that of lease 8.
        for (bytes, expected) in
            [(response(8, 600), true), (response(8, 0), false), (response(7, 600), false)]
        {
            let mut streams = Streams::new(7..9);
            let number = streams.idle.pop_back().unwrap();
            streams.all[number].start = Some(now);
            let head = Head { length: bytes.len(), kind: frame::DATA, flags: 0, stream: 3 };
            assert_eq!(streams.frame(head, &bytes).unwrap(), Some((now, expected)));
            assert_eq!(streams.n_open(), 0);
            assert!(streams.frame(head, &bytes).is_err(), "a response to no request");
        }
    }

    #[test]
    fn a_stream_that_ends_is_an_error() {
        for (kind, flags, stream, is_well) in [
            (frame::HEADERS, frame::END_HEADERS, 1, true),
            (frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, 1, false),
            (frame::DATA, frame::END_STREAM, 1, false),
            (frame::RST_STREAM, 0, 1, false),
            (frame::HEADERS, frame::END_HEADERS, 3, false),
        ] {
            let head = Head { length: 0, kind, flags, stream };
            assert_eq!(Streams::new(0..1).frame(head, &[]).is_ok(), is_well, "{head:?}");
        }
    }
}
