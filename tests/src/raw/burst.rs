//! Many calls and their ends in one piece.

use std::io;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::frames::{END_HEADERS, Frame, HEADERS, PING, RST_STREAM, begin, header_block, put_frame};

/// The error code CANCEL.
const CANCEL: u32 = 8;

/// Begins rpcs and cancels each at once, all in a single write, as a client does when the common context of many
/// rpcs ends. Returns the reason if the server closes the connection, none if it goes on serving it.
pub async fn cancelled_at_once(endpoint: &str, path: &str, calls: u32) -> io::Result<Option<String>> {
    let authority = endpoint.trim_start_matches("http://");
    let headers = header_block(authority, path);
    let mut out = begin();
    for call in 0..calls {
        let stream = 2 * call + 1;
        put_frame(&mut out, HEADERS, END_HEADERS, stream, &headers);
        put_frame(&mut out, RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    }
    // The ping's acknowledgement shows that everything before it was read.
    put_frame(&mut out, PING, 0, 0, &[0; 8]);
    let mut socket = TcpStream::connect(authority).await?;
    socket.write_all(&out).await?;
    loop {
        let frame = Frame::read(&mut socket).await?;
        if frame.acknowledges(PING) {
            return Ok(None);
        }
        if let Some(reason) = frame.reason() {
            return Ok(Some(reason));
        }
    }
}
