//! The log as one handle: append, sync, cut, mark, release.

use std::path::Path;

use crate::fs_dir::FsDir;
use crate::message::put_metadata;
use crate::record::Encoder;
use crate::segment::{self, Segment, SegmentName};
use crate::{Dir, Entry, Error, HardState, Metadata, Recovered, SnapshotMark};
use crate::{recover, repair};

/// The settings of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// A segment that has reached this many bytes is closed and the next one begun; also what is preallocated.
    /// etcd's is 64,000,000.
    pub segment_bytes: u64,
    /// Leaves out every sync: a crash of the machine may then lose or tear anything.
    pub unsafe_no_fsync: bool,
}

/// An open log, locked against other processes as long as it is held.
///
/// Owned by one writer. After a write or sync failed, what the disk holds is unknown: every further call fails with
/// [`Error::Poisoned`], and only opening the log again shows what is durable.
#[derive(Debug)]
pub struct Wal {
    dir: Box<dyn Dir>,
    config: Config,
    /// All segments on disk, oldest first, without gaps in their sequence. Never empty; the last is written.
    segments: Vec<Segment>,
    /// Where in the last segment the next record goes.
    offset: u64,
    encoder: Encoder,
    /// As encoded in the first segment: every segment repeats these very bytes.
    metadata: Vec<u8>,
    /// The last hard state appended. Its commit index is never below `mark.index`.
    hard_state: HardState,
    /// The index of the last entry, or of the mark that replaced it.
    last_index: u64,
    mark: Mark,
    written_bytes: u64,
    poisoned: bool,
}

/// The mark that recovery would start from; durable.
#[derive(Debug, Clone, Copy)]
struct Mark {
    index: u64,
    term: u64,
}

impl Wal {
    /// Whether `dir` holds a log. A directory that cannot be read holds none.
    pub fn exists(dir: &Path) -> bool {
        Self::exists_on(&FsDir::new(dir))
    }

    /// As [`Wal::exists`], on any directory.
    pub fn exists_on(dir: &impl Dir) -> bool {
        segment::list(dir).is_ok_and(|segments| !segments.is_empty())
    }

    /// Creates an empty log for a new member and opens it; see [`Wal::create_with`].
    pub fn create(path: &Path, metadata: Metadata, config: Config) -> Result<Self, Error> {
        Self::create_with(path, metadata, &[], None, config)
    }

    /// Creates a log for a new member that begins with the given entries and hard state, and opens it.
    ///
    /// The first segment gets its name once all of that is durable in it, so that after a crash there is a whole log or
    /// none. The directory may exist, as a symbolic link or a mount point too; other files in it are left alone. Missing
    /// directories are created. Durable on return, with the names of all directories above it.
    pub fn create_with(
        path: &Path,
        metadata: Metadata,
        entries: &[Entry],
        hard_state: Option<HardState>,
        config: Config,
    ) -> Result<Self, Error> {
        let dir = FsDir::new(path);
        dir.create_all(!config.unsafe_no_fsync).map_err(|e| Error::io("create", path, e))?;
        Self::create_with_on(dir, metadata, entries, hard_state, config)
    }

    /// Opens a log and reads all that recovery needs; see [`Recovered`].
    ///
    /// Everything returned is durable on return. A torn end of the last segment is copied to `<segment>.broken` and
    /// cut off; any other damage is an error, and the files are left as they are. Reads each segment once and those
    /// after the start mark twice; memory grows with the entries after the start mark.
    pub fn open(path: &Path, config: Config) -> Result<(Self, Recovered), Error> {
        Self::open_on(FsDir::new(path), config)
    }

    /// As [`Wal::create`], on any directory, which must exist.
    pub fn create_on(dir: impl Dir, metadata: Metadata, config: Config) -> Result<Self, Error> {
        Self::create_with_on(dir, metadata, &[], None, config)
    }

    /// As [`Wal::create_with`], on any directory, which must exist.
    pub fn create_with_on(
        dir: impl Dir,
        metadata: Metadata,
        entries: &[Entry],
        hard_state: Option<HardState>,
        config: Config,
    ) -> Result<Self, Error> {
        if !segment::list(&dir)?.is_empty() {
            return Err(Error::Exists { dir: dir.path() });
        }
        let mut encoded = Vec::new();
        put_metadata(&mut encoded, metadata);
        let mut wal = Self {
            dir: Box::new(dir),
            config,
            segments: Vec::new(),
            offset: 0,
            encoder: Encoder::new(0),
            metadata: encoded,
            hard_state: HardState::default(),
            last_index: 0,
            mark: Mark { index: 0, term: 0 },
            written_bytes: 0,
            poisoned: false,
        };
        wal.encoder.checksum();
        wal.encoder.metadata(&wal.metadata);
        wal.encoder.mark(&SnapshotMark::default());
        wal.encode(entries, hard_state)?;
        wal.make_segment(SegmentName { sequence: 0, index: 0 })?;
        Ok(wal)
    }

    /// As [`Wal::open`], on any directory.
    pub fn open_on(dir: impl Dir, config: Config) -> Result<(Self, Recovered), Error> {
        let segments = segment::open_all(&dir)?;
        let recover::Reading { recovered, metadata, tail } = recover::read(&dir, &segments)?;
        repair::settle(&dir, &segments, tail, &config)?;
        let last_entry = recovered.entries.last();
        let wal = Self {
            dir: Box::new(dir),
            config,
            segments,
            offset: tail.offset,
            encoder: Encoder::new(tail.crc),
            metadata,
            hard_state: recovered.hard_state,
            last_index: last_entry.map_or(recovered.snapshot.index, |e| e.index),
            mark: Mark { index: recovered.snapshot.index, term: recovered.snapshot.term },
            written_bytes: 0,
            poisoned: false,
        };
        Ok((wal, recovered))
    }

    /// Appends entries, then the hard state, with one write. Not durable until [`Wal::sync`].
    ///
    /// Returns whether a sync is owed before the step counts as durable: there are entries, or the term or vote
    /// changed. A new commit index alone owes none. An empty hard state is the same as none.
    ///
    /// Entries must follow each other; the first may replace entries of the log above the last mark, which also
    /// drops those behind it.
    pub fn append(&mut self, entries: &[Entry], hard_state: Option<HardState>) -> Result<bool, Error> {
        self.check_usable()?;
        let before = self.hard_state;
        self.encode(entries, hard_state)?;
        self.write()?;
        let vote_changed = (before.term, before.vote) != (self.hard_state.term, self.hard_state.vote);
        Ok(!entries.is_empty() || vote_changed)
    }

    /// Makes everything appended durable (one fdatasync), then begins the next segment if this one is full.
    ///
    /// An error is final: a sync that failed is never tried again, because the system may have dropped the data.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.check_usable()?;
        self.poisoning(|wal| {
            let is_full = wal.offset >= wal.config.segment_bytes;
            if is_full {
                // It ends exactly behind its last record, and does so durably before its successor appears.
                wal.tail().file.set_len(wal.offset).map_err(|e| wal.tail_error("cut", e))?;
            }
            wal.sync_data()?;
            if is_full { wal.begin_segment() } else { Ok(()) }
        })
    }

    /// Records that a state up to and including `mark.index` is durable elsewhere, so that recovery starts there.
    ///
    /// Durable on return, with everything appended before. Such a state is committed, so the commit index of the
    /// hard state is raised to the mark where it lags behind. A mark ahead of the last entry stands for a state
    /// received from the leader: the log then continues behind it.
    pub fn mark_snapshot(&mut self, mark: &SnapshotMark) -> Result<(), Error> {
        self.check_usable()?;
        self.check_mark(mark)?;
        self.encoder.mark(mark);
        if self.hard_state.commit < mark.index {
            self.raise_hard_state(mark);
            self.encoder.hard_state(&self.hard_state);
        }
        self.write()?;
        self.mark = Mark { index: mark.index, term: mark.term };
        self.last_index = self.last_index.max(mark.index);
        self.sync()
    }

    /// Deletes the oldest segments, those whose entries are all below `index`, as long as more than `keep` files
    /// remain. Returns how many were removed.
    ///
    /// An index above the last mark counts as that mark, and the newest segment always stays. Failing to delete
    /// leaves the log usable.
    pub fn release(&mut self, index: u64, keep: usize) -> Result<usize, Error> {
        self.check_usable()?;
        let index = index.min(self.mark.index);
        let mut n_removed = 0;
        while self.segments.len() > keep.max(1) && self.segments[1].name.index <= index {
            let name = self.segments[0].name.file_name();
            self.dir.remove(&name).map_err(|e| Error::io("remove", &self.dir.path().join(&name), e))?;
            self.segments.remove(0);
            n_removed += 1;
            // One by one: of two removals a crash could keep only the second, which leaves a gap.
            if !self.config.unsafe_no_fsync {
                self.poisoning(|wal| wal.dir.sync().map_err(|e| Error::io("sync", &wal.dir.path(), e)))?;
            }
        }
        Ok(n_removed)
    }

    /// The index of the last mark: recovery starts there, and no mark below it can be recorded.
    pub fn start_index(&self) -> u64 {
        self.mark.index
    }

    /// Bytes written through this handle, the heads of segments included.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    fn tail(&self) -> &Segment {
        self.segments.last().expect("a log always has a segment")
    }

    fn check_usable(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    fn check_contiguous(&self, entries: &[Entry]) -> Result<(), Error> {
        let (mut first, mut last) = (next(self.mark.index), next(self.last_index));
        for entry in entries {
            if !(first..=last).contains(&entry.index) {
                return Err(Error::NotContiguous { index: entry.index, first, last });
            }
            (first, last) = (next(entry.index), next(entry.index));
        }
        Ok(())
    }

    fn check_mark(&self, mark: &SnapshotMark) -> Result<(), Error> {
        let &SnapshotMark { index, term, .. } = mark;
        let Mark { index: last_index, term: last_term } = self.mark;
        if index < last_index || (index == last_index && term != last_term) {
            return Err(Error::MarkOutOfOrder { index, term, last_index, last_term });
        }
        if index > 0 && mark.conf_state.is_none() {
            return Err(Error::MarkWithoutMembers { index });
        }
        check_term(index == 0 || term > 0, "a snapshot mark")
    }

    /// A term seen only in the mark has had no vote of this member: votes are durable before they are sent.
    fn raise_hard_state(&mut self, mark: &SnapshotMark) {
        if self.hard_state.term < mark.term {
            self.hard_state = HardState { term: mark.term, vote: 0, commit: 0 };
        }
        self.hard_state.commit = mark.index;
    }

    /// Checks entries and hard state, and gives them to the encoder.
    fn encode(&mut self, entries: &[Entry], hard_state: Option<HardState>) -> Result<(), Error> {
        let hard_state = hard_state.filter(|state| *state != HardState::default());
        self.check_contiguous(entries)?;
        check_term(entries.iter().all(|entry| entry.term > 0), "an entry")?;
        check_term(hard_state.is_none_or(|state| state.term > 0), "a hard state")?;
        for entry in entries {
            self.encoder.entry(entry);
        }
        self.last_index = entries.last().map_or(self.last_index, |e| e.index);
        if let Some(state) = hard_state {
            // Recovery starts from the last mark only if the recorded commit index covers it.
            self.hard_state = HardState { commit: state.commit.max(self.mark.index), ..state };
            self.encoder.hard_state(&self.hard_state);
        }
        Ok(())
    }

    /// Writes what the encoder collected.
    fn write(&mut self) -> Result<(), Error> {
        let n_bytes = self.encoder.frames().len() as u64;
        if n_bytes == 0 {
            return Ok(());
        }
        self.poisoning(|wal| {
            let written = wal.tail().file.write_at(wal.encoder.frames(), wal.offset);
            written.map_err(|e| wal.tail_error("write", e))
        })?;
        self.encoder.clear();
        self.offset += n_bytes;
        self.written_bytes += n_bytes;
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        if self.config.unsafe_no_fsync {
            return Ok(());
        }
        self.tail().file.sync_data().map_err(|e| self.tail_error("sync", e))
    }

    /// Goes on in a new segment. All that was appended is durable: only the last segment may have an unfinished end.
    fn begin_segment(&mut self) -> Result<(), Error> {
        self.encoder.checksum();
        self.encoder.metadata(&self.metadata);
        if self.hard_state != HardState::default() {
            self.encoder.hard_state(&self.hard_state);
        }
        let name = SegmentName { sequence: self.tail().name.sequence + 1, index: next(self.last_index) };
        self.make_segment(name)
    }

    /// Makes a segment of what the encoder collected, and goes on in it.
    fn make_segment(&mut self, name: SegmentName) -> Result<(), Error> {
        let (head, config) = (self.encoder.frames(), &self.config);
        let fsync = !config.unsafe_no_fsync;
        let segment = Segment::create(self.dir.as_ref(), name, head, config.segment_bytes, fsync)?;
        self.segments.push(segment);
        self.offset = self.encoder.frames().len() as u64;
        self.written_bytes += self.offset;
        self.encoder.clear();
        Ok(())
    }

    /// Does `work` on the disk; if it fails, nothing more is done.
    fn poisoning(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        let result = work(self);
        self.poisoned |= result.is_err();
        result
    }

    fn tail_error(&self, action: &'static str, source: std::io::Error) -> Error {
        Error::io(action, &self.dir.path().join(self.tail().name.file_name()), source)
    }
}

fn check_term(has_term: bool, what: &'static str) -> Result<(), Error> {
    if has_term { Ok(()) } else { Err(Error::NoTerm { what }) }
}

/// The index after `index`, which may come from a damaged log and be the last there is.
fn next(index: u64) -> u64 {
    index.saturating_add(1)
}
