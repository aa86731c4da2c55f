//! Moves bytes through gates.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::Gate;

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;
/// Pieces on their way; more are not read.
const PIECES: usize = 64;

/// Moves bytes both ways until both ends have said that there are no more, or one is broken.
pub(super) async fn both(
    caller: TcpStream,
    callee: TcpStream,
    there: watch::Receiver<Gate>,
    back: watch::Receiver<Gate>,
) -> io::Result<()> {
    caller.set_nodelay(true)?;
    callee.set_nodelay(true)?;
    let ((from_caller, to_caller), (from_callee, to_callee)) = (caller.into_split(), callee.into_split());
    tokio::try_join!(one_way(from_caller, to_callee, there), one_way(from_callee, to_caller, back))?;
    Ok(())
}

async fn one_way(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    gate: watch::Receiver<Gate>,
) -> io::Result<()> {
    let (queue, taken) = mpsc::channel(PIECES);
    tokio::try_join!(read(from, queue, gate.clone()), write(taken, to, gate))?;
    Ok(())
}

async fn read(
    mut from: impl AsyncRead + Unpin,
    queue: mpsc::Sender<(Instant, Vec<u8>)>,
    gate: watch::Receiver<Gate>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        let due = Instant::now() + gate.borrow().delay;
        if length == 0 || queue.send((due, piece[..length].to_vec())).await.is_err() {
            return Ok(());
        }
    }
}

async fn write(
    mut taken: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: impl AsyncWrite + Unpin,
    mut gate: watch::Receiver<Gate>,
) -> io::Result<()> {
    let is_gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    while let Some((due, piece)) = taken.recv().await {
        sleep_until(due).await;
        gate.wait_for(|gate| gate.is_open).await.map_err(is_gone)?;
        to.write_all(&piece).await?;
    }
    gate.wait_for(|gate| gate.is_open).await.map_err(is_gone)?;
    to.shutdown().await
}
