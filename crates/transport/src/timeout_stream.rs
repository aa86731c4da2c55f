//! Connections that fail when no bytes move.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a connection may stand still; `None` for ever.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timeouts {
    /// How long a read waits for the first byte.
    pub(crate) read: Option<Duration>,
    /// How long a write waits until the peer takes a byte.
    pub(crate) write: Option<Duration>,
}

/// A connection on which reads and writes end with `TimedOut` after some time without progress.
#[derive(Debug)]
pub(crate) struct TimeoutStream<T> {
    io: T,
    read: Timer,
    write: Timer,
}

impl<T> TimeoutStream<T> {
    pub(crate) fn new(io: T, timeouts: Timeouts) -> Self {
        Self { io, read: Timer::new(timeouts.read), write: Timer::new(timeouts.write) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TimeoutStream<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.io).poll_read(cx, buf);
        this.read.watch(cx, read)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for TimeoutStream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.write.watch(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.write.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.write.watch(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.io).poll_shutdown(cx);
        this.write.watch(cx, shut)
    }
}

impl<T> Connection for TimeoutStream<T> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// Runs while one direction is stuck.
#[derive(Debug)]
struct Timer {
    limit: Option<Duration>,
    sleep: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl Timer {
    fn new(limit: Option<Duration>) -> Self {
        Self { limit, sleep: None, is_running: false }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Some(limit) = self.limit else { return progress };
        if progress.is_ready() {
            self.is_running = false;
            return progress;
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.is_running {
            sleep.as_mut().reset(Instant::now() + limit);
            self.is_running = true;
        }
        sleep.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_times_out_only_without_progress() {
        let second = Some(Duration::from_secs(1));
        let (near, mut far) = duplex(4);
        let mut near = TimeoutStream::new(near, Timeouts { read: second, write: second });
        let mut byte = [0; 1];
        for _ in 0..3 {
            let (read, ()) = tokio::join!(near.read_exact(&mut byte), async {
                sleep(Duration::from_millis(900)).await;
                far.write_all(b"x").await.expect("it is open");
            });
            read.expect("a byte came in time");
        }
        let error = near.read_exact(&mut byte).await.expect_err("nothing came");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = near.write_all(b"more than fits").await.expect_err("the peer does not read");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
