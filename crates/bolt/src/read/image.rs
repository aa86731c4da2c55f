use std::io;

/// Bytes that can be read at any position, and do not change meanwhile.
pub trait Image {
    /// How many bytes there are.
    ///
    /// # Errors
    ///
    /// When the system cannot find the length.
    fn size(&self) -> io::Result<u64>;

    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] when there are fewer; other errors of the system.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Image for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let bytes = from.and_then(|from| from.get(..out.len()));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Reads do not move the file's position.
#[cfg(unix)]
impl Image for std::fs::File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, out, offset)
    }
}

impl<T: Image + ?Sized> Image for &T {
    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_at(out, offset)
    }
}
