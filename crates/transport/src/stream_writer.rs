//! The body of an answer that carries messages for as long as the connection lasts.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use ferretcd_api_proto::raftpb::Message;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tracing::{info, warn};

use crate::codec::{Pieces, Writer, appends, messages};
use crate::link::{Link, StreamKind};
use crate::local_member::PeerReport;
use crate::message_queue::Ticket;

/// Bytes that are encoded at once. What waits for the socket is about twice that.
const TURN_BYTES: usize = 256 << 10;

/// One stream to another member. Its connection asks for pieces when it has room.
#[derive(Debug)]
pub(crate) struct OutgoingStream {
    link: Arc<Link>,
    kind: StreamKind,
    ticket: Ticket,
    encoder: appends::Encoder,
    heartbeat: Pin<Box<Interval>>,
    turn: Vec<Message>,
}

impl OutgoingStream {
    /// Begins a stream in place of an older one.
    pub(crate) fn begin(link: Arc<Link>, kind: StreamKind) -> Self {
        let replaces = link.lane(kind).is_attached();
        let ticket = link.lane(kind).attach();
        if replaces {
            // What the older one has taken may not have arrived.
            link.local.member.report(PeerReport::Unreachable(link.id));
        }
        info!(
            from = %link.local.id,
            to = %link.id,
            "stream-type" = kind.name(),
            "set message encoder"
        );
        link.liveness.activate();
        info!(
            "stream-writer-type" = kind.name(),
            "local-member-id" = %link.local.id,
            "remote-peer-id" = %link.id,
            "established TCP streaming connection with remote peer"
        );
        let period = link.local.config.silence / 3;
        let mut heartbeat = interval_at(Instant::now() + period, period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let heartbeat = Box::pin(heartbeat);
        Self { link, kind, ticket, encoder: appends::Encoder::default(), heartbeat, turn: Vec::new() }
    }

    /// The next bytes of the stream; `None` when it is to end.
    pub(crate) fn poll_pieces(&mut self, cx: &mut Context<'_>) -> Poll<Option<Pieces>> {
        let taken = self.link.lane(self.kind).poll_take(self.ticket, TURN_BYTES, &mut self.turn, cx);
        let pieces = match taken {
            Poll::Ready(false) => return Poll::Ready(None),
            Poll::Ready(true) => self.encode_turn(),
            Poll::Pending => {
                ready!(self.heartbeat.poll_tick(cx));
                self.encode_heartbeat()
            }
        };
        self.link.counters.sent_bytes.inc_by(pieces.remaining() as u64);
        Poll::Ready(Some(pieces))
    }

    fn encode_turn(&mut self) -> Pieces {
        let mut writer = Writer::default();
        for message in self.turn.drain(..) {
            match self.kind {
                StreamKind::Appends => self.encoder.encode(message, &mut writer),
                StreamKind::Messages => messages::encode(message, &mut writer),
            }
        }
        writer.finish()
    }

    fn encode_heartbeat(&self) -> Pieces {
        let mut writer = Writer::default();
        match self.kind {
            StreamKind::Appends => appends::Encoder::encode_heartbeat(&mut writer),
            StreamKind::Messages => messages::encode_heartbeat(&mut writer),
        }
        writer.finish()
    }
}

/// The connection is gone, or the stream was ended in order; then somebody else has the lane or nobody.
impl Drop for OutgoingStream {
    fn drop(&mut self) {
        if !self.link.lane(self.kind).detach(self.ticket) {
            return;
        }
        self.link.liveness.deactivate("write", self.kind.name(), "the connection was closed");
        warn!(
            "stream-writer-type" = self.kind.name(),
            "local-member-id" = %self.link.local.id,
            "remote-peer-id" = %self.link.id,
            "lost TCP streaming connection with remote peer"
        );
        self.link.counters.sent_failures.inc();
        self.link.local.member.report(PeerReport::Unreachable(self.link.id));
    }
}
