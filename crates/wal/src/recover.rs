//! Reads a whole log: where it ends, where to start, what came after that.
//!
//! Two passes. The *survey* checks every record of every segment, finds the last hard state and all snapshot marks,
//! and thereby the start mark: the last one at or below the committed index. The *replay* begins at the newest
//! segment that can hold the entry after it and collects entries. Later records win: an entry replaces all collected
//! ones from its index on, as it does in raft.

use crate::message::{take_entry, take_hard_state, take_mark, take_metadata};
use crate::proto::Malformed;
use crate::reader::{ReadError, Record, SegmentReader};
use crate::record::Kind;
use crate::segment::Segment;
use crate::{Dir, Entry, Error, Fault, HardState, Recovered, SnapshotMark};

/// Where the log ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    /// The end of the last intact record, in the last segment.
    pub(crate) offset: u64,
    /// The checksum over all records.
    pub(crate) crc: u32,
    /// Whether bytes of an unfinished write follow.
    pub(crate) torn: bool,
    /// Where the last record begins and the checksum before it, if it is a snapshot mark.
    last_mark: Option<(u64, u32)>,
}

/// A log that was read to its end. Nothing was changed on disk.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) recovered: Recovered,
    /// The metadata as it is encoded, to be repeated in new segments.
    pub(crate) metadata: Vec<u8>,
    pub(crate) tail: Tail,
}

/// Reads the log that consists of `segments`, all there are in `dir`, in order.
pub(crate) fn read(dir: &dyn Dir, segments: &[Segment]) -> Result<Reading, Error> {
    let mut survey = Survey::default();
    let mut tail = scan(dir, segments, |record| survey.visit(record))?;
    if let Some((offset, crc)) = tail.last_mark
        && survey.marks.pop_if(|mark| mark.index > survey.hard_state.commit).is_some()
    {
        // The hard state that follows a mark did not reach the disk, so nothing relies on the mark. If it stayed it
        // would count as soon as the log has grown past it, and hide entries that no state contains.
        tail = Tail { offset, crc, torn: true, last_mark: None };
    }

    let no_start =
        || Error::NoStart { dir: dir.path(), n_marks: survey.marks.len(), hard_state: survey.hard_state };
    let committed = |mark: &&SnapshotMark| mark.index <= survey.hard_state.commit;
    let start = survey.marks.iter().rfind(committed).ok_or_else(no_start)?;
    let first = segments.iter().rposition(|s| s.name.index <= start.index).ok_or_else(no_start)?;

    let mut replay = Replay { start, term_before_start: None, entries: Vec::new() };
    scan(dir, &segments[first..], |record| replay.visit(record))?;
    let recovered = Recovered {
        metadata: survey.metadata,
        snapshot: start.clone(),
        hard_state: survey.hard_state,
        entries: replay.entries,
    };
    let metadata = survey.encoded_metadata.expect("every segment's head has metadata, or reading it failed");
    Ok(Reading { recovered, metadata, tail })
}

/// Hands each record of `segments` to `visit`, after its checksum was verified.
fn scan(
    dir: &dyn Dir,
    segments: &[Segment],
    mut visit: impl FnMut(Record<'_>) -> Result<(), Fault>,
) -> Result<Tail, Error> {
    let mut crc = None;
    let mut tail = Tail { offset: 0, crc: 0, torn: false, last_mark: None };
    for (i, segment) in segments.iter().enumerate() {
        let path = || dir.path().join(segment.name.file_name());
        let io = |e| Error::io("read", &path(), e);
        let mut reader = SegmentReader::new(segment.file.as_ref(), crc).map_err(io)?;
        let (mut head, mut last_mark) = (Head::default(), None);
        let is_last = i + 1 == segments.len();
        let torn = loop {
            let (offset, crc_before) = (reader.offset(), reader.crc().unwrap_or(0));
            let fault = match reader.next() {
                Ok(Some(record)) => {
                    last_mark = (record.kind == Kind::Mark).then_some((offset, crc_before));
                    head.visit(record).and_then(|()| visit(record)).err()
                }
                Ok(None) if head.is_complete() => break false,
                Ok(None) => Some(Fault::Head),
                Err(ReadError::Io(e)) => return Err(io(e)),
                // A segment gets its name when its head is durable, so a head is never torn.
                Err(ReadError::Bad { torn: true, .. }) if is_last && head.is_complete() => break true,
                Err(ReadError::Bad { fault, .. }) => Some(fault),
            };
            if let Some(fault) = fault {
                return Err(Error::Corrupt { path: path(), offset, fault });
            }
        };
        crc = reader.crc();
        tail = Tail { offset: reader.offset(), crc: crc.unwrap_or(0), torn, last_mark };
    }
    Ok(tail)
}

/// The beginning of each segment: the running checksum and the metadata.
#[derive(Debug, Default)]
struct Head {
    n_records: u64,
}

impl Head {
    fn visit(&mut self, record: Record<'_>) -> Result<(), Fault> {
        let expected = [Kind::Checksum, Kind::Metadata].get(self.n_records as usize);
        self.n_records += 1;
        if expected.is_some_and(|&kind| kind != record.kind) { Err(Fault::Head) } else { Ok(()) }
    }

    fn is_complete(&self) -> bool {
        self.n_records >= 2
    }
}

#[derive(Debug, Default)]
struct Survey {
    metadata: crate::Metadata,
    encoded_metadata: Option<Vec<u8>>,
    hard_state: HardState,
    marks: Vec<SnapshotMark>,
}

impl Survey {
    fn visit(&mut self, record: Record<'_>) -> Result<(), Fault> {
        match record.kind {
            Kind::Metadata => self.visit_metadata(record.data)?,
            Kind::HardState => {
                self.hard_state = take_hard_state(record.data).map_err(malformed("hard state"))?;
                plausible(self.hard_state.term > 0, "hard state")?;
            }
            Kind::Mark => self.marks.push(take_mark(record.data).map_err(malformed("snapshot mark"))?),
            Kind::Entry | Kind::Checksum => {}
        }
        Ok(())
    }

    fn visit_metadata(&mut self, data: &[u8]) -> Result<(), Fault> {
        match &self.encoded_metadata {
            Some(first) if first == data => {}
            Some(_) => return Err(Fault::Metadata),
            None => {
                self.metadata = take_metadata(data).map_err(malformed("metadata"))?;
                self.encoded_metadata = Some(data.to_vec());
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Replay<'a> {
    start: &'a SnapshotMark,
    /// The term of the last entry met at the start index.
    term_before_start: Option<u64>,
    /// Without gaps from `start.index + 1` on.
    entries: Vec<Entry>,
}

impl Replay<'_> {
    fn visit(&mut self, record: Record<'_>) -> Result<(), Fault> {
        match record.kind {
            Kind::Entry => self.visit_entry(take_entry(record.data).map_err(malformed("entry"))?),
            Kind::Mark => self.visit_mark(&take_mark(record.data).map_err(malformed("snapshot mark"))?),
            Kind::Metadata | Kind::HardState | Kind::Checksum => Ok(()),
        }
    }

    fn visit_entry(&mut self, entry: Entry) -> Result<(), Fault> {
        plausible(entry.term > 0 && entry.index > 0, "entry")?;
        if entry.index <= self.start.index {
            // Itself of no interest, but it ended what was collected behind it.
            self.entries.clear();
            if entry.index == self.start.index {
                self.term_before_start = Some(entry.term);
            }
            return Ok(());
        }
        let expected = self.start.index.saturating_add(1 + self.entries.len() as u64);
        if entry.index > expected {
            return Err(Fault::Gap { index: entry.index, expected });
        }
        self.entries.truncate((entry.index - self.start.index - 1) as usize);
        self.entries.push(entry);
        Ok(())
    }

    fn visit_mark(&mut self, mark: &SnapshotMark) -> Result<(), Fault> {
        if mark.index != self.start.index {
            return Ok(());
        }
        if mark.term != self.start.term {
            return Err(Fault::MarkTerm { index: mark.index, expected: self.start.term, found: mark.term });
        }
        // The state came from a leader and replaced an entry of another term at this index. What followed that
        // entry continues a history that was never committed.
        if self.term_before_start.is_some_and(|term| term != mark.term) {
            self.entries.clear();
        }
        Ok(())
    }
}

/// The checksum does not cover a record's type. An entry read as a hard state, or the other way round, is well formed
/// but mostly has a zero where none can be.
fn plausible(is_plausible: bool, what: &'static str) -> Result<(), Fault> {
    if is_plausible { Ok(()) } else { Err(Fault::Data { what }) }
}

fn malformed(what: &'static str) -> impl FnOnce(Malformed) -> Fault {
    move |_| Fault::Data { what }
}
