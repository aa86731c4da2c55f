//! A client that pings.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::frames::{
    DATA, END_HEADERS, END_STREAM, Frame, HEADERS, PING, SETTINGS, begin, header_block, put_frame,
};

/// A connection whose client writes its frames itself.
#[derive(Debug)]
pub struct Pinging {
    socket: TcpStream,
    authority: String,
    next_stream: u32,
}

impl Pinging {
    /// Connects. `endpoint` is a URL such as `http://127.0.0.1:2379`.
    pub async fn connect(endpoint: &str) -> io::Result<Self> {
        let authority = endpoint.trim_start_matches("http://").to_owned();
        let mut socket = TcpStream::connect(&authority).await?;
        socket.write_all(&begin()).await?;
        let mut connection = Self { socket, authority, next_stream: 1 };
        connection.acknowledged(SETTINGS).await?;
        Ok(connection)
    }

    /// Calls a method with one message and its head, and waits for the head of the response, and for its end if the
    /// request is at its end.
    pub async fn call(&mut self, path: &str, message: &[u8], is_whole: bool) -> io::Result<()> {
        let (mut out, end) = (BytesMut::new(), if is_whole { END_STREAM } else { 0 });
        put_frame(&mut out, HEADERS, END_HEADERS, self.next_stream, &header_block(&self.authority, path));
        put_frame(&mut out, DATA, end, self.next_stream, message);
        self.next_stream += 2;
        self.socket.write_all(&out).await?;
        loop {
            let frame = Frame::read(&mut self.socket).await?;
            if frame.kind == HEADERS && (!is_whole || frame.flags & END_STREAM != 0) {
                return Ok(());
            }
        }
    }

    /// Pings so many times, each time waiting for the response. Returns the reason if the server sends the client away
    /// for it, and waits for the end of the connection then.
    pub async fn ping(&mut self, times: usize) -> io::Result<Option<String>> {
        for _ in 0..times {
            let mut out = BytesMut::new();
            put_frame(&mut out, PING, 0, 0, &[7; 8]);
            self.socket.write_all(&out).await?;
            if let Some(reason) = self.acknowledged(PING).await? {
                return Ok(Some(reason));
            }
        }
        // What the pings have led to comes before the response to anything later.
        let mut out = BytesMut::new();
        put_frame(&mut out, SETTINGS, 0, 0, &[]);
        // The server may be about to close.
        let _ = self.socket.write_all(&out).await;
        self.acknowledged(SETTINGS).await
    }

    /// Waits for the response to a frame of this kind, or for the reason why there is none.
    async fn acknowledged(&mut self, kind: u8) -> io::Result<Option<String>> {
        loop {
            let frame = Frame::read(&mut self.socket).await?;
            if let Some(reason) = frame.reason() {
                // etcd 3.4 resets the connection behind it.
                let _ = self.socket.read_to_end(&mut Vec::new()).await;
                return Ok(Some(reason));
            }
            if frame.acknowledges(kind) {
                return Ok(None);
            }
        }
    }
}
