//! The stream of appends, etcd's `msgappv2`: what follows from the frames before is left out.
//!
//! | kind | what follows; numbers are 8 bytes, big-endian |
//! |---|---|
//! | 0 sign of life | nothing |
//! | 1 entries | count; for each entry its length and the entry; commit index |
//! | 2 message | length, message |
//!
//! Entries alone are sent when a message continues the one before on the same stream, in the same term. Both
//! sides keep the term and the last index that went over the stream.

use bytes::Bytes;
use ferretcd_api_proto::raftpb::{Entry, Message, MessageType};
use ferretcd_base::LogPosition;
use prost::Message as _;

use super::{CodecError, ENTRIES_MAX, Frame, Inbound, MESSAGE_BYTES_MAX, Writer, bounded, decode};

const HEARTBEAT: u8 = 0;
const ENTRIES: u8 = 1;
const MESSAGE: u8 = 2;

/// Where the log is after the message.
fn position_after(message: &Message) -> LogPosition {
    let index = message.entries.last().map_or(message.index(), Entry::index);
    LogPosition { index, term: message.term() }
}

/// Whether the message goes on from there, in the same term.
fn is_continued(LogPosition { index, term }: LogPosition, message: &Message) -> bool {
    index == message.index() && term == message.log_term() && term == message.term()
}

/// Writes the stream.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    /// Up to where the log has gone over the stream; zero at the beginning.
    position: LogPosition,
}

impl Encoder {
    pub(crate) fn encode(&mut self, message: Message, writer: &mut Writer) {
        if self.position != LogPosition::default() && is_continued(self.position, &message) {
            writer.u8(ENTRIES);
            writer.u64(message.entries.len() as u64);
            self.position.index += message.entries.len() as u64;
            let commit = message.commit();
            for entry in message.entries {
                writer.entry(entry);
            }
            writer.u64(commit);
        } else {
            self.position = position_after(&message);
            writer.u8(MESSAGE);
            writer.message(message);
        }
    }

    /// Writes a sign of life.
    pub(crate) fn encode_heartbeat(writer: &mut Writer) {
        writer.u8(HEARTBEAT);
    }
}

/// Reads the stream.
#[derive(Debug)]
pub(crate) struct Decoder {
    inbound: Inbound,
    /// Who reads and who writes, for messages that do not say.
    local: u64,
    remote: u64,
    position: LogPosition,
    state: State,
}

/// What comes next.
#[derive(Debug)]
enum State {
    Kind,
    MessageLength,
    Message(usize),
    Count,
    EntryLength(Entries),
    Entry(Entries, usize),
    Commit(Entries),
}

/// Entries of a frame that has begun.
#[derive(Debug, Default)]
struct Entries {
    /// How many are to come.
    missing: u64,
    entries: Vec<Entry>,
    bytes: u64,
}

impl Entries {
    fn next_state(self) -> State {
        if self.missing == 0 { State::Commit(self) } else { State::EntryLength(self) }
    }
}

/// One step of a [`Decoder`].
enum Step {
    Go(State),
    Done(Frame),
    /// More has to be received first.
    Wait(State),
}

impl Decoder {
    /// Reads what `remote` writes to `local`.
    pub(crate) fn new(local: u64, remote: u64) -> Self {
        let position = LogPosition::default();
        Self { inbound: Inbound::default(), local, remote, position, state: State::Kind }
    }

    /// Adds what was received, after everything before has been read.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.inbound.push(chunk);
    }

    /// The next frame, or `None` until more is received. After an error the stream is of no use.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, CodecError> {
        loop {
            let state = std::mem::replace(&mut self.state, State::Kind);
            match self.step(state)? {
                Step::Go(state) => self.state = state,
                Step::Done(frame) => return Ok(Some(frame)),
                Step::Wait(state) => {
                    self.state = state;
                    return Ok(None);
                }
            }
        }
    }

    fn step(&mut self, state: State) -> Result<Step, CodecError> {
        match state {
            State::Kind => {
                let Some(kind) = self.inbound.take(1) else { return Ok(Step::Wait(State::Kind)) };
                self.begin(kind[0])
            }
            State::MessageLength => match self.inbound.take_u64() {
                Some(length) => Ok(Step::Go(State::Message(bounded(length)?))),
                None => Ok(Step::Wait(State::MessageLength)),
            },
            State::Message(length) => {
                let Some(encoded) = self.inbound.take(length) else {
                    return Ok(Step::Wait(State::Message(length)));
                };
                let message = decode(encoded)?;
                self.position = position_after(&message);
                Ok(Step::Done(Frame::Message(Box::new(message), length)))
            }
            State::Count => {
                let Some(missing) = self.inbound.take_u64() else { return Ok(Step::Wait(State::Count)) };
                if missing > ENTRIES_MAX as u64 {
                    return Err(CodecError::TooManyEntries);
                }
                Ok(Step::Go(Entries { missing, ..Entries::default() }.next_state()))
            }
            State::EntryLength(entries) => {
                let Some(length) = self.inbound.take_u64() else {
                    return Ok(Step::Wait(State::EntryLength(entries)));
                };
                let sum = entries.bytes.saturating_add(length);
                if sum > MESSAGE_BYTES_MAX {
                    return Err(CodecError::TooLarge(sum));
                }
                Ok(Step::Go(State::Entry(entries, bounded(length)?)))
            }
            State::Entry(mut entries, length) => {
                let Some(encoded) = self.inbound.take(length) else {
                    return Ok(Step::Wait(State::Entry(entries, length)));
                };
                entries.entries.push(Entry::decode(encoded)?);
                entries.bytes += length as u64;
                entries.missing -= 1;
                Ok(Step::Go(entries.next_state()))
            }
            State::Commit(entries) => match self.inbound.take_u64() {
                Some(commit) => Ok(Step::Done(self.continued(entries, commit))),
                None => Ok(Step::Wait(State::Commit(entries))),
            },
        }
    }

    fn begin(&self, kind: u8) -> Result<Step, CodecError> {
        match kind {
            HEARTBEAT => Ok(Step::Done(Frame::Heartbeat)),
            ENTRIES if self.position.term == 0 => Err(CodecError::NoContext),
            ENTRIES => Ok(Step::Go(State::Count)),
            MESSAGE => Ok(Step::Go(State::MessageLength)),
            unknown => Err(CodecError::UnknownKind(unknown)),
        }
    }

    /// The message whose entries came alone.
    fn continued(&mut self, entries: Entries, commit: u64) -> Frame {
        let LogPosition { index, term } = self.position;
        self.position.index = index.saturating_add(entries.entries.len() as u64);
        let message = Message {
            r#type: Some(MessageType::MsgApp.into()),
            to: Some(self.local),
            from: Some(self.remote),
            term: Some(term),
            log_term: Some(term),
            index: Some(index),
            entries: entries.entries,
            commit: Some(commit),
            ..Message::default()
        };
        Frame::Message(Box::new(message), entries.bytes as usize)
    }
}

#[cfg(test)]
mod tests;
