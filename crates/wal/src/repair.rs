//! Makes the end of a log that was just read fit to be continued.

use std::io;

use crate::recover::Tail;
use crate::segment::Segment;
use crate::{Config, Dir, Error, File};

const COPY_BYTES: u64 = 1 << 20;

/// Cuts off whatever follows the last record, reserves space behind it, and makes all that was read durable.
///
/// Cutting also matters when nothing is torn: behind the end there may be pieces of an unfinished write, which the
/// next records would cover in part. And what was read may so far exist in the system's memory only, left by a
/// process that died before its sync.
pub(crate) fn settle(dir: &dyn Dir, segments: &[Segment], tail: Tail, config: &Config) -> Result<(), Error> {
    let Some(Segment { name, file }) = segments.last() else { return Ok(()) };
    let name = name.file_name();
    let path = dir.path().join(&name);
    if tail.torn {
        let broken = format!("{name}.broken");
        keep_copy(dir, file.as_ref(), &broken)
            .map_err(|e| Error::io("copy the torn segment to", &dir.path().join(&broken), e))?;
    }
    file.set_len(tail.offset).map_err(|e| Error::io("cut", &path, e))?;
    file.allocate(config.segment_bytes).map_err(|e| Error::io("allocate space for", &path, e))?;
    if !config.unsafe_no_fsync {
        file.sync_data().map_err(|e| Error::io("sync", &path, e))?;
        dir.sync().map_err(|e| Error::io("sync", &dir.path(), e))?;
    }
    Ok(())
}

/// Keeps a copy of a torn segment, so that an operator can look at what was lost. Reserved space is left out: there may
/// be little room on the disk, that may be why the segment is torn.
fn keep_copy(dir: &dyn Dir, from: &dyn File, name: &str) -> io::Result<()> {
    let to = dir.create(name)?;
    let size = from.size()?;
    let mut buf = Vec::new();
    for offset in (0..size).step_by(COPY_BYTES as usize) {
        buf.resize(COPY_BYTES.min(size - offset) as usize, 0);
        from.read_at(&mut buf, offset)?;
        if buf.iter().any(|byte| *byte != 0) {
            to.write_at(&buf, offset)?;
        }
    }
    to.set_len(size)?;
    to.sync_data()
}
