//! Bytes that change after they were written.

use ferretcd_wal::{Dir, Entry, HardState, MemDir, Recovered, Wal};
use proptest::prelude::*;

use crate::common::{METADATA, config, entry, mark};
use crate::model::Model;

const SEGMENT_BYTES: u64 = 1000;

/// A log of several segments, and the state after each of its records.
///
/// Terms begin at 3. The format's checksum leaves out a record's type, so a hard state of term 1 or 2 whose type turns
/// into that of an entry is a well-formed configuration change, for etcd too.
fn log() -> (MemDir, Vec<Recovered>) {
    let disk = MemDir::new();
    let mut wal = Wal::create_on(disk.clone(), METADATA, config(SEGMENT_BYTES)).unwrap();
    let mut states = vec![Model::new()];
    for (index, len) in (1..).zip([5, 300, 0, 700, 40, 1200, 90, 90, 13, 500, 1, 2, 3]) {
        let state = HardState { term: 3, vote: 9, commit: index - 1 };
        let entry: Entry = entry(3, index, len);
        let now = states[states.len() - 1].clone();
        states.extend(now.append(std::slice::from_ref(&entry), Some(state)));
        wal.append(&[entry], Some(state)).unwrap();
        wal.sync().unwrap();
        if index == 7 {
            let now = states[states.len() - 1].clone();
            states.extend(now.mark(mark(5, 3)));
            wal.mark_snapshot(&mark(5, 3)).unwrap();
        }
    }
    (disk, states.iter().map(Model::recovered).collect())
}

fn segments(disk: &MemDir) -> Vec<(String, Vec<u8>)> {
    let names = disk.list().unwrap().into_iter().filter(|name| name.ends_with(".wal"));
    names
        .map(|name| {
            let file = disk.open(&name).unwrap();
            let mut bytes = vec![0; file.size().unwrap() as usize];
            file.read_at(&mut bytes, 0).unwrap();
            (name, bytes)
        })
        .collect()
}

/// Opens the log with some bytes exchanged: an error, or a state the log went through.
fn check(segments: &[(String, Vec<u8>)], states: &[Recovered], damage: &str) -> bool {
    let disk = MemDir::new();
    for (name, bytes) in segments {
        disk.create(name).unwrap().write_at(bytes, 0).unwrap();
    }
    match Wal::open_on(disk, config(SEGMENT_BYTES)) {
        Ok((_, found)) => assert!(states.contains(&found), "{damage} gives {found:#?}"),
        Err(_) => return false,
    }
    true
}

/// Every byte of a log, with each of its bits turned.
#[test]
fn one_wrong_bit_is_noticed() {
    let (disk, states) = log();
    let mut segments = segments(&disk);
    assert!(check(&segments, &states, "no damage"));
    for i in 0..segments.len() {
        let used = segments[i].1.iter().rposition(|&b| b != 0).unwrap();
        for offset in 0..=used {
            for bit in 0..8 {
                segments[i].1[offset] ^= 1 << bit;
                check(&segments, &states, &format!("bit {bit} at {offset} of segment {i}"));
                segments[i].1[offset] ^= 1 << bit;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wrong_bytes_are_noticed(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let (disk, states) = log();
        let mut segments = segments(&disk);
        let segment = &mut which.get_mut(&mut segments).1;
        let at = at.index(segment.len());
        let n = bytes.len().min(segment.len() - at);
        segment[at..at + n].copy_from_slice(&bytes[..n]);
        check(&segments, &states, "a run of other bytes");
    }

    #[test]
    fn any_segment_is_read_without_a_panic(head in prop::bool::ANY, mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut segment = if head { segments(&log().0)[0].1[..96].to_vec() } else { Vec::new() };
        // Lengths that are nearly right reach deeper.
        for chunk in bytes.chunks_mut(16).filter(|chunk| chunk.len() > 8) {
            chunk[1..8].fill(0);
            chunk[0] &= 0x78;
        }
        segment.extend(bytes);
        let disk = MemDir::new();
        disk.create("0000000000000000-0000000000000000.wal").unwrap().write_at(&segment, 0).unwrap();
        let _ = Wal::open_on(disk, config(SEGMENT_BYTES));
    }
}
