//! Moves bytes through gates.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::Gate;

/// Bytes per read.
const PIECE: usize = 64 << 10;
/// Chunks in flight; the reader waits when there are as many.
const PIECES: usize = 64;

/// Moves bytes both ways until both ends are closed, or one breaks.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::duplex;
    use tokio::time::timeout;

    use super::*;

    const SOME_TIME: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn a_closed_gate_holds_bytes_and_the_end_back() {
        let gate = watch::Sender::new(Gate { is_open: false, delay: Duration::ZERO });
        let ((mut sender, from), (to, mut receiver)) = (duplex(64), duplex(64));
        let pump = tokio::spawn(one_way(from, to, gate.subscribe()));
        sender.write_all(b"held").await.expect("the pump reads");
        drop(sender);
        let mut bytes = Vec::new();
        let early = timeout(SOME_TIME, receiver.read_to_end(&mut bytes)).await;
        assert!(early.is_err() && bytes.is_empty(), "{bytes:?}");
        gate.send_modify(|gate| gate.is_open = true);
        receiver.read_to_end(&mut bytes).await.expect("the pump writes");
        assert_eq!(bytes, b"held");
        pump.await.expect("it does not panic").expect("both ends are whole");
    }

    #[tokio::test]
    async fn delayed_bytes_come_in_order_and_together() {
        let gate = watch::Sender::new(Gate { is_open: true, delay: SOME_TIME });
        let ((mut sender, from), (to, mut receiver)) = (duplex(64), duplex(64));
        let begun = Instant::now();
        let pump = tokio::spawn(one_way(from, to, gate.subscribe()));
        for piece in [b"a", b"b", b"c"] {
            sender.write_all(piece).await.expect("the pump reads");
            tokio::task::yield_now().await;
        }
        drop(sender);
        let mut bytes = Vec::new();
        receiver.read_to_end(&mut bytes).await.expect("the pump writes");
        assert_eq!(bytes, b"abc");
        assert!(begun.elapsed() >= SOME_TIME);
        pump.await.expect("it does not panic").expect("both ends are whole");
    }
}
