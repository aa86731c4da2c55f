use std::fmt::Debug;
use std::io;

/// Where the bytes of a backend live: one growing array of bytes, like a file.
///
/// Methods may be called from several threads at once; reads run beside writes to other places.
pub trait Medium: Debug + Send + Sync + 'static {
    /// Current length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether nothing was ever stored here.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Bytes that are really taken up, where that differs from the length because parts were never
    /// written. Shown to users only; must be cheap.
    fn occupied(&self) -> io::Result<u64> {
        self.len()
    }

    /// Fills `out` with the bytes from `offset` on; an error if they reach beyond the end.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Changes the length. New bytes are zero.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes everything written before this call durable, the length included. An error is final: the
    /// backend never calls `sync` again after one.
    fn sync(&self) -> io::Result<()>;

    /// Writes `data` at `offset`, within the current length. Durable only after the next `sync`; until
    /// then any part of it may be lost in a crash, in any order with other writes.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;
}
