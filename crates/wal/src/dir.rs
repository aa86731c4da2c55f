//! The seam between the log and the disk, placed where faults can be injected.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;

/// A flat directory of files that belongs to one log.
///
/// Names are plain file names without separators. An operation that changes names is durable only after
/// [`Dir::sync`]; until then a crash may undo it.
pub trait Dir: Send + Debug + 'static {
    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens an existing file for reading and writing; `NotFound` if there is none.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Opens an empty file for reading and writing; one that exists under the name loses its content.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Gives a file another name, atomically replacing what had it. Open handles stay valid.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name. Open handles stay valid.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all changes of names durable.
    fn sync(&self) -> io::Result<()>;

    /// How messages name the directory.
    fn path(&self) -> PathBuf;
}

/// An open file of a [`Dir`].
///
/// Writes, growth and truncation are durable only after [`File::sync_data`].
pub trait File: Send + Debug + 'static {
    /// The length in bytes, preallocated zeros included.
    fn size(&self) -> io::Result<u64>;

    /// Locks the file for this handle until it is dropped. Returns false, at once, when another handle has it.
    fn try_lock(&self) -> io::Result<bool>;

    /// Fills `buf` from `offset`; `UnexpectedEof` if the file ends before.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, growing the file when needed. On an error any part may be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Grows the file to `size` bytes, reading as zeros, with blocks reserved where the disk can. Never shrinks.
    fn allocate(&self, size: u64) -> io::Result<()>;

    /// Cuts the file to `size` bytes, or grows it with zeros.
    fn set_len(&self, size: u64) -> io::Result<()>;

    /// Makes the content and length durable. After an error the content is unknown and retrying proves nothing.
    fn sync_data(&self) -> io::Result<()>;
}
