//! The frames of a connection, as they pass (RFC 9113, 4.1 and 6.2).

use bytes::{Buf as _, BytesMut};

use super::block;

/// The first bytes of a client that speaks HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes in front of the payload of a frame.
const HEAD_BYTES: usize = 9;
/// The largest payload that the library takes, and so the most that is held back.
const PAYLOAD_BYTES_MAX: usize = 16 << 10;

const HEADERS: u8 = 1;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
/// Dependency and weight of a stream.
const PRIORITY_BYTES: usize = 5;

/// Passes what a client sends, bytes as they come, and corrects authorities. Holds back at most one frame.
#[derive(Debug)]
pub(super) struct Frames {
    stage: Stage,
    /// The beginning of a frame.
    held: BytesMut,
    /// Whether there was an authority to be corrected.
    has_corrected: bool,
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

impl Default for Frames {
    fn default() -> Self {
        Self { stage: Stage::Preface(0), held: BytesMut::new(), has_corrected: false }
    }
}

impl Frames {
    /// Whether all further bytes pass as they are, and none is held back.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Takes received bytes and appends to `out` those that can be passed on.
    pub(super) fn pass(&mut self, received: &[u8], out: &mut BytesMut) {
        let mut rest = received;
        while !rest.is_empty() {
            match self.stage {
                Stage::Preface(at) => rest = self.preface(at, rest, out),
                Stage::Frame => rest = self.frame(rest, out),
                Stage::Payload(left) => {
                    let (passed, behind) = rest.split_at(left.min(rest.len()));
                    out.extend_from_slice(passed);
                    rest = behind;
                    self.skip(left - passed.len());
                }
                Stage::Done => {
                    out.extend_from_slice(rest);
                    return;
                }
            }
        }
    }

    /// Nothing more comes: what was held back goes as it is.
    pub(super) fn end(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&self.held);
        self.held.clear();
        self.stage = Stage::Done;
    }

    fn preface<'a>(&mut self, at: usize, rest: &'a [u8], out: &mut BytesMut) -> &'a [u8] {
        let expected = &PREFACE[at..];
        let n = expected.len().min(rest.len());
        if rest[..n] != expected[..n] {
            // HTTP/1, or no HTTP at all.
            self.stage = Stage::Done;
            return rest;
        }
        out.extend_from_slice(&rest[..n]);
        self.stage = if n == expected.len() { Stage::Frame } else { Stage::Preface(at + n) };
        &rest[n..]
    }

    fn frame<'a>(&mut self, rest: &'a [u8], out: &mut BytesMut) -> &'a [u8] {
        let mut rest = self.hold(HEAD_BYTES, rest);
        let Some(Head { payload, kind, flags }) = Head::of(&self.held) else { return rest };
        if kind != HEADERS || payload > PAYLOAD_BYTES_MAX {
            out.extend_from_slice(&self.held);
            self.held.clear();
            self.skip(payload);
            return rest;
        }
        rest = self.hold(HEAD_BYTES + payload, rest);
        if self.held.len() < HEAD_BYTES + payload {
            return rest;
        }
        let corrected = correct(&self.held[HEAD_BYTES..], flags);
        self.has_corrected |= corrected.is_some();
        match corrected {
            Some(payload) => {
                out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
                out.extend_from_slice(&self.held[3..HEAD_BYTES]);
                out.extend_from_slice(&payload);
            }
            None => out.extend_from_slice(&self.held),
        }
        self.held.clear();
        if !self.has_corrected {
            self.stage = Stage::Done;
        }
        rest
    }

    /// Holds back until there are `bytes`; returns what is behind them.
    fn hold<'a>(&mut self, bytes: usize, rest: &'a [u8]) -> &'a [u8] {
        let (held, behind) = rest.split_at(bytes.saturating_sub(self.held.len()).min(rest.len()));
        self.held.extend_from_slice(held);
        behind
    }

    /// Passes the next bytes unseen.
    fn skip(&mut self, bytes: usize) {
        self.stage = if bytes == 0 { Stage::Frame } else { Stage::Payload(bytes) };
    }
}

/// The head of a frame.
struct Head {
    /// Its length in bytes.
    payload: usize,
    kind: u8,
    flags: u8,
}

impl Head {
    /// `None` if it is not whole.
    fn of(frame: &[u8]) -> Option<Self> {
        let mut head = frame.get(..HEAD_BYTES)?;
        let payload = head.get_uint(3) as usize;
        Some(Self { payload, kind: head.get_u8(), flags: head.get_u8() })
    }
}

/// The payload of a HEADERS frame with another authority. `None` if it is to stay, or would become too long.
fn correct(payload: &[u8], flags: u8) -> Option<Vec<u8>> {
    let (mut start, mut end) = (0, payload.len());
    if flags & PADDED != 0 {
        end = end.checked_sub(usize::from(*payload.first()?))?;
        start += 1;
    }
    if flags & PRIORITY != 0 {
        start += PRIORITY_BYTES;
    }
    // The end of the block may be in other frames; the authority is not so far behind.
    let (range, value) = block::correction(payload.get(start..end)?)?;
    let (before, behind) = (&payload[..start + range.start], &payload[start + range.end..]);
    let corrected = [before, &value, behind].concat();
    (corrected.len() <= PAYLOAD_BYTES_MAX).then_some(corrected)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A frame.
    pub(in crate::authority) fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = payload.len() as u32;
        [&length.to_be_bytes()[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// A block of headers with this authority as a literal that is to be remembered.
    fn block(authority: &[u8]) -> Vec<u8> {
        [&[0x83, 0x86, 0x41, authority.len() as u8], authority, &[0x40, 1, b'a', 1, b'b']].concat()
    }

    /// A HEADERS frame with this authority.
    pub(in crate::authority) fn call(authority: &[u8]) -> Vec<u8> {
        frame(HEADERS, 4, &block(authority))
    }

    /// The preface, settings, and these frames.
    pub(in crate::authority) fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
        [PREFACE, &frame(4, 0, &[0, 3, 0, 0, 0, 9]), &frames.concat()].concat()
    }

    /// The outcome for bytes that are received in pieces of `n`.
    fn pass(received: &[u8], n: usize) -> (Vec<u8>, bool) {
        let (mut frames, mut out) = (Frames::default(), BytesMut::new());
        for piece in received.chunks(n.max(1)) {
            frames.pass(piece, &mut out);
            assert!(frames.held.len() <= HEAD_BYTES + PAYLOAD_BYTES_MAX);
        }
        let is_done = frames.is_done();
        frames.end(&mut out);
        (out.to_vec(), is_done)
    }

    fn check(sent: &[Vec<u8>], expected: &[Vec<u8>], is_done: bool) {
        for n in [1, 2, 10, 1000] {
            let expected = (connection(expected), is_done);
            assert_eq!(pass(&connection(sent), n), expected, "in pieces of {n}");
        }
    }

    const URL: &[u8] = b"http://127.0.0.1:2379/";
    const HOST: &[u8] = b"http---127.0.0.1-2379-";

    #[test]
    fn first_call_decides() {
        let data = frame(0, 0, &[7; 300]);
        let ordinary = || call(b"127.0.0.1:2379");
        check(&[ordinary(), call(URL)], &[ordinary(), call(URL)], true);
        check(&[call(URL)], &[call(HOST)], false);
        check(
            &[call(URL), data.clone(), ordinary(), call(URL), data.clone()],
            &[call(HOST), data.clone(), ordinary(), call(HOST), data],
            false,
        );
    }

    #[test]
    fn padding_and_priority_stay() {
        let payload = |authority| [&[3, 0, 0, 0, 0, 16], &block(authority)[..], &[0; 3]].concat();
        check(
            &[frame(HEADERS, PADDED | PRIORITY, &payload(URL))],
            &[frame(HEADERS, PADDED | PRIORITY, &payload(HOST))],
            false,
        );
        // More padding than payload is left to the library.
        let wrong = [vec![255], block(URL)].concat();
        check(&[frame(HEADERS, PADDED, &wrong)], &[frame(HEADERS, PADDED, &wrong)], true);
    }

    #[test]
    fn frame_that_would_be_too_long_stays() {
        let huffman = {
            let mut encoded = Vec::new();
            httlib_huffman::encode(URL, &mut encoded).expect("all bytes have codes");
            [&[0x41, 0x80 | encoded.len() as u8], &encoded[..]].concat()
        };
        let fill = |bytes: usize| frame(HEADERS, 0, &[&huffman[..], &vec![0x83; bytes]].concat());
        let most = PAYLOAD_BYTES_MAX - huffman.len();
        check(&[fill(most)], &[fill(most)], true);
        let (out, is_done) = pass(&connection(&[fill(most - 100)]), 1000);
        assert!(!is_done && out.windows(HOST.len()).any(|window| window == HOST));
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..40)).prop_map(|(k, f, p)| frame(k % 10, f, &p)),
            "[a-z0-9.]{1,20}(:[0-9]{1,4})?".prop_map(|host| call(host.as_bytes())),
            vec(any::<u8>(), 0..20),
        ]
    }

    proptest! {
        #[test]
        fn all_bytes_pass_however_they_are_cut(
            preface in any::<bool>(),
            frames in vec(any_frame(), 0..8),
            n in 1_usize..60,
        ) {
            let sent = if preface { connection(&frames) } else { frames.concat() };
            let (whole, _) = pass(&sent, usize::MAX);
            let (pieces, _) = pass(&sent, n);
            prop_assert_eq!(whole, pieces);
        }

        #[test]
        fn well_formed_authorities_stay(
            frames in vec("[a-z0-9.]{1,20}(:[0-9]{1,4})?", 1..8),
            n in 1_usize..60,
        ) {
            let calls: Vec<_> = frames.iter().map(|host| call(host.as_bytes())).collect();
            prop_assert_eq!(pass(&connection(&calls), n), (connection(&calls), true));
        }
    }
}
