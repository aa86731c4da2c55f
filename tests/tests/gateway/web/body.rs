//! Bodies of responses, piece by piece.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use super::Head;

/// More is not read at once.
const PIECE_BYTES_MAX: u64 = 1 << 16;

/// What has yet to come of a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Left {
    Nothing,
    /// So many bytes.
    Bytes(u64),
    /// So many bytes of a chunk, and others up to one without bytes.
    Chunks(u64),
    /// Everything up to the end of the connection.
    All,
}

impl Left {
    /// The body that stands behind a head.
    pub(super) fn after(head: &Head, method: &str) -> Self {
        let is_bodiless = method == "HEAD" || head.status < 200 || matches!(head.status, 204 | 304);
        let is_chunked = head.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked");
        match head.get("content-length").map(str::parse) {
            _ if is_bodiless => Self::Nothing,
            _ if is_chunked => Self::Chunks(0),
            Some(Ok(0)) => Self::Nothing,
            Some(Ok(length)) => Self::Bytes(length),
            Some(Err(error)) => panic!("{error}: {head:?}"),
            None => Self::All,
        }
    }

    /// The next piece; `None` at the end.
    pub(super) async fn piece(
        &mut self,
        stream: &mut (impl AsyncBufRead + Unpin),
    ) -> io::Result<Option<Vec<u8>>> {
        let mut piece = Vec::new();
        match *self {
            Self::Nothing => return Ok(None),
            Self::Bytes(length) => {
                let n = stream.take(length.min(PIECE_BYTES_MAX)).read_to_end(&mut piece).await? as u64;
                if n == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *self = if n == length { Self::Nothing } else { Self::Bytes(length - n) };
            }
            Self::Chunks(left) => {
                let length = if left == 0 { length(stream).await? } else { left };
                let n = stream.take(length.min(PIECE_BYTES_MAX)).read_to_end(&mut piece).await? as u64;
                if n == length {
                    let mut end = [0; 2];
                    stream.read_exact(&mut end).await?;
                    assert_eq!(&end, b"\r\n", "a chunk ends with its line");
                } else if n == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *self = Self::Chunks(length - n);
                if length == 0 {
                    *self = Self::Nothing;
                    return Ok(None);
                }
            }
            Self::All => {
                stream.read_to_end(&mut piece).await?;
                *self = Self::Nothing;
            }
        }
        Ok(Some(piece))
    }
}

/// The length of the next chunk.
async fn length(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<u64> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    u64::from_str_radix(line.trim_end(), 16).map_err(|_| io::ErrorKind::UnexpectedEof.into())
}
