//! The frames of a connection, as they pass (RFC 9113, 4.1 and 6.2).

use std::mem;

use bytes::{Buf as _, BytesMut};

use super::block::Blocks;
use super::hpack::Malformed;
use crate::call_budget::CallBudget;
use crate::limits::{FRAME_BYTES_MAX, HEADER_BLOCK_BYTES_MAX};

/// The first bytes of a client that speaks HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes in front of the payload of a frame.
pub(crate) const HEAD_BYTES: usize = 9;

pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const ACK: u8 = 0x01;
const END_HEADERS: u8 = 0x04;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
/// A block that no HTTP/2 library takes: there is no field with the number 0.
const MALFORMED_BLOCK: &[u8] = &[0x80];
/// Dependency and weight of a stream.
const PRIORITY_BYTES: usize = 5;

/// Passes what a client sends, bytes as they come but for header blocks, which pass when they are whole.
#[derive(Debug, Default)]
pub(super) struct Frames {
    stage: Stage,
    /// The beginning of a frame, or of a header block with all of its frames; with more behind it while calls wait for
    /// the next turn.
    held: Vec<u8>,
    /// How much of the held block is known to be whole frames.
    scanned: usize,
    blocks: Blocks,
    pings: Pings,
}

/// What the pings of a client are judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pings {
    /// Pings since they were last taken.
    pub(crate) n: usize,
    /// Whether a call has begun since then, which the server may not have seen yet.
    pub(crate) has_call: bool,
    /// The newest stream of the client.
    pub(crate) stream: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// That many bytes of the preface have come.
    Preface(usize),
    /// A frame begins.
    Frame,
    /// That many bytes of another frame are to come.
    Payload(usize),
    /// All further bytes pass as they are.
    Done,
}

impl Default for Stage {
    fn default() -> Self {
        Self::Preface(0)
    }
}

/// Bytes that pass together.
struct Unit {
    bytes: usize,
    /// What takes their place; `None` if they stay.
    replacement: Option<Vec<u8>>,
}

impl Unit {
    fn same(bytes: usize) -> Self {
        Self { bytes, replacement: None }
    }
}

impl Frames {
    /// Whether all further bytes pass as they are, and none is held back.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done && self.held.is_empty()
    }

    /// Whether the client speaks HTTP/2, as far as it has been followed.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.stage, Stage::Frame | Stage::Payload(_))
    }

    /// The pings that have begun to pass since this was last called; `None` if there are none.
    pub(super) fn take_pings(&mut self) -> Option<Pings> {
        let none = Pings { stream: self.pings.stream, ..Pings::default() };
        Some(mem::replace(&mut self.pings, none)).filter(|pings| pings.n > 0)
    }

    /// Takes received bytes. That many of them, from the first on, can be passed on where they are; what follows them and
    /// can be passed on is appended to `out`, and the rest is held back. Frames that begin or end a call are taken from
    /// the budget; without one left, the frame and all behind it are held until this is called again.
    pub(super) fn pass(&mut self, received: &[u8], budget: &CallBudget, out: &mut BytesMut) -> usize {
        let mut held = mem::take(&mut self.held);
        let is_held = !held.is_empty();
        held.extend_from_slice(if is_held { received } else { &[] });
        let bytes = if is_held { &held[..] } else { received };
        let (mut same, mut taken) = (0, 0);
        while let Some(Unit { bytes: n, replacement }) = self.next(&bytes[taken..], budget) {
            match replacement {
                None if same == taken && !is_held => same += n,
                None => out.extend_from_slice(&bytes[taken..taken + n]),
                Some(replacement) => out.extend_from_slice(&replacement),
            }
            taken += n;
        }
        if is_held {
            held.drain(..taken);
            self.held = held;
        } else {
            self.held = received[taken..].to_vec();
        }
        if self.held.is_empty() {
            // A large block does not keep its memory.
            self.held = Vec::new();
        }
        same
    }

    /// Nothing more comes: what was held back goes as it is.
    pub(super) fn end(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&mem::take(&mut self.held));
        self.stage = Stage::Done;
    }

    fn next(&mut self, rest: &[u8], budget: &CallBudget) -> Option<Unit> {
        if rest.is_empty() {
            return None;
        }
        match self.stage {
            Stage::Preface(at) => Some(self.preface(at, rest)),
            Stage::Frame => self.frame(rest, budget),
            Stage::Payload(left) => {
                let n = left.min(rest.len());
                self.skip(left - n);
                Some(Unit::same(n))
            }
            Stage::Done => Some(Unit::same(rest.len())),
        }
    }

    fn preface(&mut self, at: usize, rest: &[u8]) -> Unit {
        let expected = &PREFACE[at..];
        let n = expected.len().min(rest.len());
        if rest[..n] != expected[..n] {
            // HTTP/1, or no HTTP at all.
            self.stage = Stage::Done;
            return Unit::same(rest.len());
        }
        self.stage = if n == expected.len() { Stage::Frame } else { Stage::Preface(at + n) };
        Unit::same(n)
    }

    fn frame(&mut self, rest: &[u8], budget: &CallBudget) -> Option<Unit> {
        let head = Head::of(rest)?;
        let is_of_call = matches!(head.kind, HEADERS | RST_STREAM);
        if is_of_call && budget.is_spent() {
            return None;
        }
        if head.kind != HEADERS {
            if is_of_call {
                budget.take();
            }
            if head.kind == PING && head.flags & ACK == 0 {
                self.pings.n += 1;
            }
            self.skip(head.payload);
            return Some(Unit::same(HEAD_BYTES));
        }
        let unit = match scan(head, rest, self.scanned) {
            Ok(Scan::Partial(scanned)) if rest.len() <= HEADER_BLOCK_BYTES_MAX => {
                self.scanned = scanned;
                return None;
            }
            Ok(Scan::Whole(end)) => pass_block(&mut self.blocks, &rest[..end]),
            Ok(Scan::Partial(_)) | Err(Malformed) => Err(Malformed),
        };
        self.scanned = 0;
        self.pings.stream = self.pings.stream.max(head.stream);
        self.pings.has_call = true;
        budget.take();
        Some(unit.unwrap_or_else(|Malformed| self.give_up(head, rest)))
    }

    /// Lets everything pass: the HTTP/2 library will end the connection itself. If its table is not the client's any more, it
    /// might find sense in this block, and gets one in front that has none.
    fn give_up(&mut self, head: Head, rest: &[u8]) -> Unit {
        self.stage = Stage::Done;
        let replacement = self.blocks.is_rewriting().then(|| {
            let mut frames = in_frames(Head { flags: 0, ..head }, &[], MALFORMED_BLOCK);
            frames.extend_from_slice(rest);
            frames
        });
        Unit { bytes: rest.len(), replacement }
    }

    /// Passes the next bytes unseen.
    fn skip(&mut self, bytes: usize) {
        self.stage = if bytes == 0 { Stage::Frame } else { Stage::Payload(bytes) };
    }
}

/// The head of a frame.
#[derive(Clone, Copy)]
struct Head {
    /// Its length in bytes.
    payload: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Head {
    /// `None` if it is not whole.
    fn of(frame: &[u8]) -> Option<Self> {
        let mut head = frame.get(..HEAD_BYTES)?;
        let payload = head.get_uint(3) as usize;
        let (kind, flags) = (head.get_u8(), head.get_u8());
        // Its first bit is reserved, and means nothing.
        Some(Self { payload, kind, flags, stream: head.get_u32() & (u32::MAX >> 1) })
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.payload as u32).to_be_bytes()[1..]);
        out.extend_from_slice(&[self.kind, self.flags]);
        out.extend_from_slice(&self.stream.to_be_bytes());
    }
}

/// How much there is of the frames of a header block.
enum Scan {
    /// All; the block ends there.
    Whole(usize),
    /// Whole frames up to there.
    Partial(usize),
}

/// Looks for the end of the block that begins the bytes with `first`, in its frames from `at` on.
fn scan(first: Head, bytes: &[u8], mut at: usize) -> Result<Scan, Malformed> {
    while let Some(head) = Head::of(&bytes[at..]) {
        let continues = head.kind == CONTINUATION && head.stream == first.stream;
        if head.payload > FRAME_BYTES_MAX as usize || (at > 0 && !continues) {
            return Err(Malformed);
        }
        let end = at + HEAD_BYTES + head.payload;
        if end > bytes.len() {
            break;
        }
        if head.flags & END_HEADERS != 0 {
            return Ok(Scan::Whole(end));
        }
        at = end;
    }
    Ok(Scan::Partial(at))
}

/// Passes the block that consists of whole frames.
fn pass_block(blocks: &mut Blocks, frames: &[u8]) -> Result<Unit, Malformed> {
    let first = Head::of(frames).ok_or(Malformed)?;
    let payload = &frames[HEAD_BYTES..HEAD_BYTES + first.payload];
    let (mut start, mut end) = (0, payload.len());
    if first.flags & PADDED != 0 {
        end = end.checked_sub(usize::from(*payload.first().ok_or(Malformed)?)).ok_or(Malformed)?;
        start += 1;
    }
    let priority = payload.get(start..start + if first.flags & PRIORITY != 0 { PRIORITY_BYTES } else { 0 });
    let priority = priority.ok_or(Malformed)?;
    let fragment = payload.get(start + priority.len()..end).ok_or(Malformed)?;
    let rest = &frames[HEAD_BYTES + first.payload..];
    let block = match rest {
        [] => blocks.pass(fragment)?,
        rest => blocks.pass(&join(fragment, rest))?,
    };
    let replacement = block.map(|block| in_frames(first, priority, &block));
    Ok(Unit { bytes: frames.len(), replacement })
}

/// A block whose end is in CONTINUATION frames.
fn join(fragment: &[u8], mut frames: &[u8]) -> Vec<u8> {
    let mut block = fragment.to_vec();
    while let Some(head) = Head::of(frames) {
        let (frame, rest) = frames.split_at(HEAD_BYTES + head.payload);
        block.extend_from_slice(&frame[HEAD_BYTES..]);
        frames = rest;
    }
    block
}

/// The frames of a block, without padding.
fn in_frames(first: Head, priority: &[u8], block: &[u8]) -> Vec<u8> {
    let mut frames = Vec::with_capacity(HEAD_BYTES + priority.len() + block.len());
    let (fragment, mut rest) = block.split_at(block.len().min(FRAME_BYTES_MAX as usize - priority.len()));
    let end = |rest: &[u8]| if rest.is_empty() { END_HEADERS } else { 0 };
    let flags = first.flags & !(PADDED | END_HEADERS) | end(rest);
    Head { payload: priority.len() + fragment.len(), flags, ..first }.write(&mut frames);
    frames.extend_from_slice(priority);
    frames.extend_from_slice(fragment);
    while !rest.is_empty() {
        let fragment = rest.split_off(..rest.len().min(FRAME_BYTES_MAX as usize)).unwrap_or_default();
        Head { payload: fragment.len(), kind: CONTINUATION, flags: end(rest), ..first }.write(&mut frames);
        frames.extend_from_slice(fragment);
    }
    frames
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A frame of stream 1.
    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        Head { payload: payload.len(), kind, flags, stream: 1 }.write(&mut frame);
        frame.extend_from_slice(payload);
        frame
    }

    /// A block with this authority, to be remembered, and a field behind it.
    fn block(authority: &[u8]) -> Vec<u8> {
        [&[0x83, 0x86, 0x41, authority.len() as u8], authority, b"\x40\x01a\x01b"].concat()
    }

    /// A HEADERS frame with this authority.
    pub(in crate::authority) fn call(authority: &[u8]) -> Vec<u8> {
        frame(HEADERS, END_HEADERS, &block(authority))
    }

    /// The preface, settings, and these frames.
    pub(in crate::authority) fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
        [PREFACE, &frame(4, 0, &[0, 3, 0, 0, 0, 9]), &frames.concat()].concat()
    }

    /// What comes out for bytes that are received in pieces of `n`.
    fn pass(received: &[u8], n: usize) -> (Vec<u8>, bool) {
        let (mut frames, mut all) = (Frames::default(), Vec::new());
        for piece in received.chunks(n.max(1)) {
            let mut out = BytesMut::new();
            let same = frames.pass(piece, &CallBudget::default(), &mut out);
            all.extend_from_slice(&piece[..same]);
            all.extend_from_slice(&out);
            assert!(frames.held.len() <= HEADER_BLOCK_BYTES_MAX + piece.len());
        }
        let mut out = BytesMut::new();
        frames.end(&mut out);
        all.extend_from_slice(&out);
        (all, frames.is_done())
    }

    fn check(sent: &[Vec<u8>], expected: &[Vec<u8>]) {
        for n in [1, 2, 10, 1000, usize::MAX] {
            assert_eq!(pass(&connection(sent), n).0, connection(expected), "in pieces of {n}");
        }
    }

    const URL: &[u8] = b"http://127.0.0.1:2379/";
    /// The block of a call with a URL, as it passes.
    const REWRITTEN: &[u8] = b"\x83\x86\x01\x01!\x00\x01a\x01b";

    #[test]
    fn blocks_pass_as_they_are_until_one_must_not() {
        let data = frame(0, 0, &[7; 300]);
        let ordinary = call(b"127.0.0.1:2379");
        let rewritten = frame(HEADERS, END_HEADERS, REWRITTEN);
        let spelled = frame(HEADERS, END_HEADERS, b"\x83\x86\x01\x0e127.0.0.1:2379\x00\x01a\x01b");
        check(
            &[ordinary.clone(), data.clone(), ordinary.clone()],
            &[ordinary.clone(), data.clone(), ordinary.clone()],
        );
        check(
            &[ordinary.clone(), data.clone(), call(URL), data.clone(), ordinary.clone()],
            &[ordinary, data.clone(), rewritten, data, spelled],
        );
    }

    #[test]
    fn padding_goes_and_priority_stays() {
        let priority = [0, 0, 0, 0, 16];
        let padded = |authority| [&[3], &priority[..], &block(authority), &[0; 3]].concat();
        let good = frame(HEADERS, PADDED | PRIORITY | END_HEADERS, &padded(b"a"));
        let bad = frame(HEADERS, PADDED | PRIORITY | END_HEADERS | 1, &padded(URL));
        let passed = frame(HEADERS, PRIORITY | END_HEADERS | 1, &[&priority[..], REWRITTEN].concat());
        check(&[good.clone(), bad], &[good, passed]);
    }

    #[test]
    fn blocks_in_several_frames_are_one() {
        let block = block(URL);
        for at in 0..=block.len() {
            let parts = [
                frame(HEADERS, 1, &block[..at]),
                frame(CONTINUATION, 0, &[]),
                frame(CONTINUATION, END_HEADERS, &block[at..]),
            ];
            check(&parts, &[frame(HEADERS, END_HEADERS | 1, REWRITTEN)]);
        }
    }

    #[test]
    fn large_blocks_are_spread_over_frames() {
        let value = vec![b'v'; 40_000];
        let mut block = [&[0x41, URL.len() as u8], URL, &[0, 1, b'a']].concat();
        super::super::hpack::write_integer(value.len(), 7, 0, &mut block);
        block.extend(&value);
        let max = FRAME_BYTES_MAX as usize;
        let sent = [
            frame(HEADERS, 0, &block[..max]),
            frame(CONTINUATION, 0, &block[max..2 * max]),
            frame(CONTINUATION, END_HEADERS, &block[2 * max..]),
        ];
        let rewritten = [b"\x01\x01!", &block[2 + URL.len()..]].concat();
        let expected = [
            frame(HEADERS, 0, &rewritten[..max]),
            frame(CONTINUATION, 0, &rewritten[max..2 * max]),
            frame(CONTINUATION, END_HEADERS, &rewritten[2 * max..]),
        ];
        check(&sent, &expected);
    }

    #[test]
    fn what_ends_the_connection_passes_unread() {
        for wrong in [
            // More padding than payload, or less priority.
            frame(HEADERS, PADDED | END_HEADERS, &[vec![255], block(URL)].concat()),
            frame(HEADERS, PRIORITY | END_HEADERS, &[0; 4]),
            frame(HEADERS, PADDED | END_HEADERS, &[]),
            // No continuation behind the beginning of a block.
            [frame(HEADERS, 0, &[0x83]), frame(0, 0, &[1])].concat(),
            // Numbers that mean nothing, and what is cut off.
            frame(HEADERS, END_HEADERS, &[0xc0]),
            frame(HEADERS, END_HEADERS, &[0x80]),
            frame(HEADERS, END_HEADERS, &[0x41, 0x7f]),
            frame(HEADERS, END_HEADERS, &[0x3f, 0xff, 0xff, 0xff, 0xff, 0xff]),
            // A size of the table behind a field.
            frame(HEADERS, END_HEADERS, &[0x83, 0x20]),
            // Larger than the server has allowed.
            frame(HEADERS, END_HEADERS, &vec![0x83; FRAME_BYTES_MAX as usize + 1]),
            // A continuation of another stream.
            [frame(HEADERS, 0, &[0x83]), b"\0\0\0\x09\x04\0\0\0\x03".to_vec()].concat(),
        ] {
            check(&[wrong.clone(), call(URL)], &[wrong.clone(), call(URL)]);
            // In a table that is not the client's it might mean something.
            let malformed = frame(HEADERS, END_HEADERS, MALFORMED_BLOCK);
            check(&[call(URL), wrong.clone()], &[frame(HEADERS, END_HEADERS, REWRITTEN), malformed, wrong]);
        }
    }

    #[test]
    fn endless_blocks_are_not_kept() {
        let part = frame(CONTINUATION, 0, &vec![0x83; FRAME_BYTES_MAX as usize]);
        let mut received = connection(&[frame(HEADERS, 0, &[])]);
        while received.len() < HEADER_BLOCK_BYTES_MAX + part.len() {
            received.extend(&part);
        }
        let (passed, _) = pass(&received, 1 << 20);
        assert!(passed == received);
    }

    #[test]
    fn calls_above_a_turns_worth_wait_for_the_next() {
        let data = frame(0, 0, &[7; 300]);
        let begun_and_ended = [call(b"a:1"), data, frame(RST_STREAM, 0, &[0, 0, 0, 8])].concat();
        let sent = connection(&vec![begun_and_ended; 100]);
        let (mut frames, mut all, mut n_turns) = (Frames::default(), Vec::new(), 0);
        let mut received = &sent[..];
        while all.len() < sent.len() {
            let (budget, mut out) = (CallBudget::default(), BytesMut::new());
            let same = frames.pass(received, &budget, &mut out);
            all.extend_from_slice(&received[..same]);
            all.extend_from_slice(&out);
            assert_eq!(budget.is_spent(), all.len() < sent.len(), "it takes all that it may");
            (received, n_turns) = (&[], n_turns + 1);
        }
        assert!(all == sent && n_turns > 1, "{n_turns}");
    }

    #[test]
    fn pings_are_counted_and_their_responses_are_not() {
        let received = connection(&[
            frame(PING, 0, &[1; 8]),
            call(b"a:1"),
            frame(PING, ACK, &[2; 8]),
            frame(0, 0, &frame(PING, 0, &[0; 8])),
            frame(PING, 0, &[3; 8]),
        ]);
        for n in [1, 7, usize::MAX] {
            let (mut frames, mut seen) = (Frames::default(), Vec::new());
            for piece in received.chunks(n.min(received.len())) {
                frames.pass(piece, &CallBudget::default(), &mut BytesMut::new());
                seen.extend(frames.take_pings());
            }
            let count = seen.iter().map(|pings| pings.n).sum::<usize>();
            assert_eq!((count, seen.last().map(|pings| pings.stream)), (2, Some(1)), "in pieces of {n}");
        }
    }

    #[test]
    fn pings_know_of_a_call_that_came_with_them() {
        let (ping, mut frames) = (frame(PING, 0, &[1; 8]), Frames::default());
        let mut has_call = |received: &[u8]| {
            frames.pass(received, &CallBudget::default(), &mut BytesMut::new());
            frames.take_pings().map(|pings| pings.has_call)
        };
        assert_eq!(has_call(&connection(std::slice::from_ref(&ping))), Some(false));
        assert_eq!(has_call(&[call(b"a:1"), ping.clone()].concat()), Some(true));
        // Later the server knows by itself.
        assert_eq!(has_call(&ping), Some(false));
        assert_eq!(has_call(&call(b"a:1")), None);
        assert_eq!(has_call(&ping), Some(false));
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..40)).prop_map(|(k, f, p)| frame(k % 10, f, &p)),
            "[a-z0-9./:]{0,20}(:[0-9]{1,4})?".prop_map(|host| call(host.as_bytes())),
            vec(any::<u8>(), 0..20),
        ]
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            preface in any::<bool>(),
            frames in vec(any_frame(), 0..8),
            n in 1_usize..60,
        ) {
            let sent = if preface { connection(&frames) } else { frames.concat() };
            prop_assert_eq!(pass(&sent, usize::MAX).0, pass(&sent, n).0);
        }

        #[test]
        fn well_formed_authorities_stay(
            frames in vec("[a-z0-9.]{1,20}(:[0-9]{1,4})?", 1..8),
            n in 1_usize..60,
        ) {
            let calls: Vec<_> = frames.iter().map(|host| call(host.as_bytes())).collect();
            prop_assert_eq!(pass(&connection(&calls), n).0, connection(&calls));
        }
    }
}
