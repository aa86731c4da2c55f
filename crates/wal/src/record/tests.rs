//! The bytes a real etcd wrote, taken apart and put together again.

use bytes::Bytes;

use super::*;
use crate::message::{put_metadata, take_entry};
use crate::{EntryKind, Metadata};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A frame as the tables of the format show it: the length word as a number, then the record.
fn frame(word: u64, record: &str) -> Vec<u8> {
    let mut bytes = word.to_le_bytes().to_vec();
    bytes.extend(hex(record));
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

#[test]
fn head_of_a_new_log() {
    let mut metadata = Vec::new();
    put_metadata(
        &mut metadata,
        Metadata { node_id: 6_898_171_603_489_705_232, cluster_id: 0xf71_6b72_01c1_2172 },
    );
    let mut encoder = Encoder::new(0);
    encoder.checksum();
    encoder.metadata(&metadata);
    assert_eq!(encoder.crc, 0x03a8_f174);
    encoder.mark(&SnapshotMark::default());
    assert_eq!(encoder.crc, 0x1dca_d8cf);

    let mut expected = frame(0x8400_0000_0000_0004, "08041000");
    expected.extend(frame(
        0x8300_0000_0000_001d,
        "0801 10f4e2a31d 1a14 08909ac3cde7d0cedd5f 10f2c2848ea0eedab80f",
    ));
    expected.extend(frame(0x8200_0000_0000_000e, "0805 10cfb1abee01 1a04 08001000"));
    assert_eq!(expected.len(), 80);
    assert_eq!(encoder.frames(), expected);

    // The first entry: a configuration change whose frame has a known length word and ends at a known offset.
    let context = r#"{"id":6898171603489705232,"peerURLs":["http://127.0.0.1:34380"],"name":"m1"}"#;
    let mut change = hex("0800 1000 18909ac3cde7d0cedd5f 224c");
    change.extend_from_slice(context.as_bytes());
    encoder.entry(&Entry { term: 1, index: 1, kind: EntryKind::ConfChange, data: change.into() });
    assert_eq!(encoder.frames()[80..88], 0x8200_0000_0000_006e_u64.to_le_bytes());
    assert_eq!(encoder.frames().len(), 200);

    encoder.hard_state(&HardState { term: 1, vote: 0, commit: 1 });
    assert_eq!(encoder.frames()[200..208], 0x10_u64.to_le_bytes());
    assert_eq!(encoder.frames().len(), 224);
    assert_eq!(encoder.frames()[216..224], hex("1a06 0801 1000 1801"));
}

#[test]
fn zero_entry_type_and_empty_payload_are_left_out() {
    let mut encoder = Encoder::new(0);
    encoder.entry(&Entry { term: 2, index: 2, kind: EntryKind::Normal, data: Bytes::new() });
    let (word, rest) = encoder.frames().split_first_chunk().unwrap();
    let (len, _) = split_length_word(u64::from_le_bytes(*word)).unwrap();
    assert_eq!(take_record(&rest[..len as usize]).unwrap().data, hex("1002 1802"));
}

/// Decodes what etcd 3.4 wrote and encodes it again; nothing but the explicit zero type may differ.
#[test]
fn a_real_log_encodes_to_the_same_bytes() {
    let segment = include_bytes!("../../tests/fixtures/etcd-3.4.23.wal");
    let mut encoder = Encoder::new(0);
    let mut n_entries = 0;
    let mut rest = &segment[..];
    while let Some((word, after)) = rest.split_first_chunk() {
        let (len, n_zeros) = split_length_word(u64::from_le_bytes(*word)).unwrap();
        let record = take_record(&after[..len as usize]).unwrap();
        let data = record.data;
        match Kind::from_number(record.kind).unwrap() {
            Kind::Entry => {
                let entry = take_entry(data).unwrap();
                if entry.kind == EntryKind::Normal {
                    put_number(&mut encoder.head, 1, 0);
                }
                encoder.entry(&entry);
                n_entries += 1;
            }
            Kind::HardState => encoder.hard_state(&crate::message::take_hard_state(data).unwrap()),
            Kind::Mark => encoder.mark(&crate::message::take_mark(data).unwrap()),
            Kind::Checksum => encoder.checksum(),
            Kind::Metadata => {
                let mut again = Vec::new();
                put_metadata(&mut again, crate::message::take_metadata(data).unwrap());
                encoder.metadata(&again);
            }
        }
        rest = &after[(len + n_zeros) as usize..];
    }
    assert!(n_entries > 20);
    assert!(encoder.frames() == segment, "the encoded log differs from what etcd wrote");
}

#[test]
fn length_words_that_contradict_themselves() {
    assert_eq!(split_length_word(0x8400_0000_0000_0004), Some((4, 4)));
    assert_eq!(split_length_word(0x10), Some((16, 0)));
    for (top, len) in [(0, 4), (0x83, 4), (0x80, 8), (0x88, 8), (0x04, 4), (0xff, 4), (0x80, 0)] {
        assert_eq!(split_length_word(top << 56 | len), None, "{top:#x} {len}");
    }
}
