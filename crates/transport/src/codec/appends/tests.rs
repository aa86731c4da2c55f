use bytes::Buf;
use proptest::prelude::*;

use super::*;

fn entry(term: u64, index: u64, data: &'static str) -> Entry {
    Entry { term: Some(term), index: Some(index), data: Some(data.into()), ..Entry::default() }
}

fn append(term: u64, log_term: u64, index: u64, entries: Vec<Entry>, commit: u64) -> Message {
    Message {
        r#type: Some(MessageType::MsgApp.into()),
        to: Some(2),
        from: Some(1),
        term: Some(term),
        log_term: Some(log_term),
        index: Some(index),
        entries,
        commit: Some(commit),
        ..Message::default()
    }
}

fn encode(messages: &[Message]) -> Bytes {
    let (mut encoder, mut writer) = (Encoder::default(), Writer::default());
    for message in messages {
        encoder.encode(message.clone(), &mut writer);
    }
    let mut chunks = writer.finish();
    chunks.copy_to_bytes(chunks.remaining())
}

/// Reads all frames, pushed in chunks of `size` bytes.
fn decode_in_chunks(bytes: &Bytes, size: usize) -> Result<Vec<Frame>, CodecError> {
    let mut decoder = Decoder::new(2, 1);
    let mut frames = Vec::new();
    for chunk in bytes.chunks(size.max(1)) {
        decoder.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = decoder.next()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn messages(frames: Vec<Frame>) -> Vec<Message> {
    let message = |frame| match frame {
        Frame::Message(message, _) => Some(*message),
        Frame::Heartbeat => None,
    };
    frames.into_iter().filter_map(message).collect()
}

#[test]
fn frames_are_the_same_as_etcds() {
    let first = append(5, 4, 9, vec![entry(5, 10, "a")], 8);
    let second = append(5, 5, 10, vec![entry(5, 11, "bc"), entry(5, 12, "")], 10);
    let third = append(5, 5, 12, vec![], 12);
    let bytes = encode(&[first.clone(), second.clone(), third.clone()]);

    let mut expected = vec![2, 0, 0, 0, 0, 0, 0, 0, 23];
    // type, to, from, term, log term, index, one entry, commit
    expected.extend([0x08, 3, 0x10, 2, 0x18, 1, 0x20, 5, 0x28, 4, 0x30, 9]);
    expected.extend([0x3a, 7, 0x10, 5, 0x18, 10, 0x22, 1, b'a', 0x40, 8]);
    expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 2]);
    expected.extend([0, 0, 0, 0, 0, 0, 0, 8, 0x10, 5, 0x18, 11, 0x22, 2, b'b', b'c']);
    expected.extend([0, 0, 0, 0, 0, 0, 0, 6, 0x10, 5, 0x18, 12, 0x22, 0]);
    expected.extend([0, 0, 0, 0, 0, 0, 0, 10]);
    expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12]);
    assert_eq!(bytes, expected);
    let frames = decode_in_chunks(&bytes, usize::MAX).expect("own frames");
    assert_eq!(messages(frames), [first, second, third]);
}

#[test]
fn messages_that_do_not_continue_the_stream_are_sent_whole() {
    let check = |first: Message, second: Message| {
        let alone = encode(std::slice::from_ref(&second));
        let both = encode(&[first, second]);
        assert!(both.ends_with(&alone));
    };
    let first = append(5, 5, 9, vec![entry(5, 10, "a")], 8);
    check(first.clone(), append(5, 5, 9, vec![], 8));
    check(first.clone(), append(5, 4, 10, vec![], 8));
    check(first.clone(), append(6, 5, 10, vec![], 8));
    check(first, append(6, 6, 10, vec![], 8));
    // Nothing precedes the first message of a log.
    assert_eq!(encode(&[append(0, 0, 0, vec![], 0)])[0], MESSAGE);
}

#[test]
fn hostile_frames_are_rejected() {
    let check = |bytes: &[u8], expected: CodecError| {
        let mut decoder = Decoder::new(2, 1);
        decoder.last = LogPosition::new(1, 1);
        decoder.push(Bytes::copy_from_slice(bytes));
        assert_eq!(decoder.next(), Err(expected));
    };
    check(&[3], CodecError::UnknownKind(3));
    check(&[[1].as_slice(), &u64::MAX.to_be_bytes()].concat(), CodecError::TooManyEntries);
    let entry = [[1].as_slice(), &1_u64.to_be_bytes(), &u64::MAX.to_be_bytes()].concat();
    check(&entry, CodecError::TooLarge(u64::MAX));
    check(&[[2].as_slice(), &u64::MAX.to_be_bytes()].concat(), CodecError::TooLarge(u64::MAX));
    assert_eq!(decode_in_chunks(&Bytes::from_static(&[1]), 1), Err(CodecError::NoContext));
    assert_eq!(
        decode_in_chunks(&Bytes::from_static(&[0, 0]), 1),
        Ok(vec![Frame::Heartbeat, Frame::Heartbeat])
    );
}

proptest! {
    #[test]
    fn decoded_messages_equal_the_encoded_ones(
        steps in proptest::collection::vec((0..3_u64, 0..4_usize, any::<bool>()), 0..20),
        size in 1..64_usize,
    ) {
        let (mut term, mut index) = (1, 0);
        let mut sent = Vec::new();
        for (raise, count, continues) in steps {
            let log_term = term;
            term += raise;
            index += u64::from(!continues);
            let entries = (0..count as u64).map(|i| entry(term, index + 1 + i, "data")).collect();
            sent.push(append(term, log_term, index, entries, index));
            index += count as u64;
        }
        let frames = decode_in_chunks(&encode(&sent), size).expect("own frames");
        prop_assert_eq!(messages(frames), sent);
    }

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>, size in 1..64_usize) {
        let _ = decode_in_chunks(&bytes.into(), size);
    }

    #[test]
    fn damaged_streams_never_panic(at in 0..200_usize, value: u8, size in 1..64_usize) {
        let first = append(5, 4, 9, vec![entry(5, 10, "a")], 8);
        let second = append(5, 5, 10, vec![entry(5, 11, "bc"), entry(5, 12, "")], 10);
        let mut bytes = encode(&[first.clone(), second.clone(), first, second]).to_vec();
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = decode_in_chunks(&bytes.into(), size);
    }
}
