//! Streams of messages to a peer. A stream is the body of a response, which lasts as long as the connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use ferretcd_api_proto::raftpb::Message;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tracing::{info, warn};

use crate::codec::{Chunks, Writer, appends, messages};
use crate::message_queue::Ticket;
use crate::peer::{Peer, StreamKind};

/// Bytes that are encoded at once. About twice as many wait for the socket.
const TURN_BYTES: usize = 256 << 10;

/// One stream to a peer. The connection polls it for chunks when the socket has room.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    peer: Arc<Peer>,
    kind: StreamKind,
    ticket: Ticket,
    encoder: appends::Encoder,
    heartbeat: Pin<Box<Interval>>,
    turn: Vec<Message>,
}

impl StreamWriter {
    /// Begins a stream; it replaces an older one.
    pub(crate) fn begin(peer: Arc<Peer>, kind: StreamKind) -> Self {
        let replaces = peer.queue(kind).is_attached();
        let ticket = peer.queue(kind).attach();
        if replaces {
            // Messages that the older one took may not have arrived.
            peer.report_unreachable();
        }
        info!(
            from = %peer.local.id,
            to = %peer.id,
            "stream-type" = kind.name(),
            "set message encoder"
        );
        peer.status.activate();
        info!(
            "stream-writer-type" = kind.name(),
            "local-member-id" = %peer.local.id,
            "remote-peer-id" = %peer.id,
            "established TCP streaming connection with remote peer"
        );
        let period = peer.local.config.silence / 3;
        let mut heartbeat = interval_at(Instant::now() + period, period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let heartbeat = Box::pin(heartbeat);
        Self { peer, kind, ticket, encoder: appends::Encoder::default(), heartbeat, turn: Vec::new() }
    }

    /// The next bytes of the stream; `None` when it must end.
    pub(crate) fn poll_chunks(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunks>> {
        let taken = self.peer.queue(self.kind).poll_take(self.ticket, TURN_BYTES, &mut self.turn, cx);
        let chunks = match taken {
            Poll::Ready(false) => return Poll::Ready(None),
            Poll::Ready(true) => self.encode_turn(),
            Poll::Pending => {
                ready!(self.heartbeat.poll_tick(cx));
                self.encode_heartbeat()
            }
        };
        self.peer.counters.sent_bytes.inc_by(chunks.remaining() as u64);
        Poll::Ready(Some(chunks))
    }

    fn encode_turn(&mut self) -> Chunks {
        let mut writer = Writer::default();
        for message in self.turn.drain(..) {
            match self.kind {
                StreamKind::Appends => self.encoder.encode(message, &mut writer),
                StreamKind::Messages => messages::encode(message, &mut writer),
            }
        }
        writer.finish()
    }

    fn encode_heartbeat(&self) -> Chunks {
        let mut writer = Writer::default();
        match self.kind {
            StreamKind::Appends => appends::Encoder::encode_heartbeat(&mut writer),
            StreamKind::Messages => messages::encode_heartbeat(&mut writer),
        }
        writer.finish()
    }
}

/// Reports a lost connection. A stream whose queue is closed, or belongs to a newer stream, has ended in order.
impl Drop for StreamWriter {
    fn drop(&mut self) {
        if !self.peer.queue(self.kind).detach(self.ticket) {
            return;
        }
        self.peer.status.deactivate("write", self.kind.name(), "the connection was closed");
        warn!(
            "stream-writer-type" = self.kind.name(),
            "local-member-id" = %self.peer.local.id,
            "remote-peer-id" = %self.peer.id,
            "lost TCP streaming connection with remote peer"
        );
        self.peer.counters.sent_failures.inc();
        self.peer.report_unreachable();
    }
}
