use bytes::Bytes;

/// Finds messages in the bytes of a gRPC body, however the bytes are cut into frames.
///
/// ```text
/// | compressed: 1 | length: 4, big endian | message: length bytes | compressed: 1 | ...
/// ```
#[derive(Debug, Default)]
pub(crate) struct Framing {
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that have been seen; `PREFIX` while inside a message.
    filled: usize,
    /// Bytes of the current message still to come.
    missing: usize,
}

/// Bytes before each message.
pub(crate) const PREFIX: usize = 5;

impl Framing {
    /// Takes the next bytes and reports the length of each message whose last byte is among them.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut complete: impl FnMut(u64)) {
        while !bytes.is_empty() {
            if self.filled < PREFIX {
                let taken = bytes.len().min(PREFIX - self.filled);
                self.prefix[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
                self.filled += taken;
                bytes = &bytes[taken..];
                if self.filled < PREFIX {
                    return;
                }
                self.missing = message_len(&self.prefix);
            }
            let taken = bytes.len().min(self.missing);
            self.missing -= taken;
            bytes = &bytes[taken..];
            if self.missing == 0 {
                self.filled = 0;
                complete(message_len(&self.prefix) as u64);
            }
        }
    }
}

/// The message in a body that holds exactly one, uncompressed; `None` for any other body.
pub(crate) fn only_message(body: &Bytes) -> Option<Bytes> {
    let (prefix, message) = body.split_first_chunk::<PREFIX>()?;
    let plain = prefix[0] == 0 && message_len(prefix) == message.len();
    plain.then(|| body.slice(PREFIX..))
}

fn message_len(prefix: &[u8; PREFIX]) -> usize {
    let [_, a, b, c, d] = *prefix;
    u32::from_be_bytes([a, b, c, d]) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut body = Vec::new();
        for message in messages {
            body.push(0);
            body.extend((message.len() as u32).to_be_bytes());
            body.extend(message);
        }
        body
    }

    proptest! {
        #[test]
        fn messages_are_found_wherever_the_frames_are_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6),
            cuts in prop::collection::vec(1..9usize, 1..8),
        ) {
            let body = encode(&messages);
            let mut framing = Framing::default();
            let mut found = Vec::new();
            let mut rest = &body[..];
            for cut in cuts.iter().cycle() {
                let (frame, after) = rest.split_at((*cut).min(rest.len()));
                framing.feed(frame, |len| found.push(len));
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            let lens: Vec<u64> = messages.iter().map(|message| message.len() as u64).collect();
            prop_assert_eq!(found, lens);
        }
    }

    #[test]
    fn only_a_lone_whole_uncompressed_message_is_found() {
        fn check(body: &[u8], expected: Option<&[u8]>) {
            let found = only_message(&Bytes::copy_from_slice(body));
            assert_eq!(found.as_deref(), expected, "{body:?}");
        }
        check(b"\0\0\0\0\x02hi", Some(b"hi"));
        check(b"\0\0\0\0\0", Some(b""));
        check(b"\x01\0\0\0\x02hi", None);
        check(b"\0\0\0\0\x03hi", None);
        check(b"\0\0\0\0\x01hi", None);
        check(b"\0\0\0", None);
        check(b"", None);
    }
}
