//! The stream of appends, etcd's `msgappv2`: it omits what follows from the frames before.
//!
//! | kind | fields; numbers are 8 bytes, big-endian |
//! |---|---|
//! | 0 heartbeat | none |
//! | 1 entries | count; for each entry its length and the entry; commit index |
//! | 2 message | length, message |
//!
//! A frame of entries stands for a message that continues the one before on the same stream, in the same term. Both sides
//! keep the term and the last index of the stream.

use bytes::Bytes;
use ferretcd_api_proto::raftpb::{Entry, Message, MessageType};
use ferretcd_base::LogPosition;
use prost::Message as _;

use super::decode::decode;
use super::frame::{CodecError, ENTRIES_MAX, Frame, MESSAGE_BYTES_MAX, bounded};
use super::read_buffer::ReadBuffer;
use super::writer::Writer;

const HEARTBEAT: u8 = 0;
const ENTRIES: u8 = 1;
const MESSAGE: u8 = 2;

/// The last entry of a message.
fn last_entry(message: &Message) -> LogPosition {
    let index = message.entries.last().map_or(message.index(), Entry::index);
    LogPosition::new(index, message.term())
}

/// Whether a message continues the stream after `last`, in the same term.
fn continues(message: &Message, last: LogPosition) -> bool {
    last.index == message.index() && last.term == message.log_term() && last.term == message.term()
}

/// Writes the stream.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    /// The last entry of the stream; zeros at the beginning.
    last: LogPosition,
}

impl Encoder {
    pub(crate) fn encode(&mut self, message: Message, writer: &mut Writer) {
        if self.last != LogPosition::default() && continues(&message, self.last) {
            writer.u8(ENTRIES);
            writer.u64(message.entries.len() as u64);
            self.last.index += message.entries.len() as u64;
            let commit = message.commit();
            for entry in message.entries {
                writer.entry(entry);
            }
            writer.u64(commit);
        } else {
            self.last = last_entry(&message);
            writer.u8(MESSAGE);
            writer.message(message);
        }
    }

    /// Writes a heartbeat.
    pub(crate) fn encode_heartbeat(writer: &mut Writer) {
        writer.u8(HEARTBEAT);
    }
}

/// Reads the stream.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: ReadBuffer,
    /// Receiver and sender, which frames of entries omit.
    local: u64,
    remote: u64,
    /// The last entry of the stream; zeros at the beginning.
    last: LogPosition,
    state: State,
}

/// The next field.
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

/// Entries of the current frame.
#[derive(Debug, Default)]
struct Entries {
    /// Entries that have not arrived.
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
    /// Bytes are missing.
    Wait(State),
}

impl Decoder {
    /// Reads the stream from `remote` to `local`.
    pub(crate) fn new(local: u64, remote: u64) -> Self {
        let last = LogPosition::default();
        Self { buffer: ReadBuffer::default(), local, remote, last, state: State::Kind }
    }

    /// Adds a received chunk, after all frames before it have been read.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.buffer.push(chunk);
    }

    /// The next frame, or `None` until more is received. After an error the stream cannot be read.
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
                let Some(kind) = self.buffer.take(1) else { return Ok(Step::Wait(State::Kind)) };
                self.begin(kind[0])
            }
            State::MessageLength => match self.buffer.take_u64() {
                Some(length) => Ok(Step::Go(State::Message(bounded(length)?))),
                None => Ok(Step::Wait(State::MessageLength)),
            },
            State::Message(length) => {
                let Some(encoded) = self.buffer.take(length) else {
                    return Ok(Step::Wait(State::Message(length)));
                };
                let message = decode(encoded)?;
                self.last = last_entry(&message);
                Ok(Step::Done(Frame::Message(Box::new(message), length)))
            }
            State::Count => {
                let Some(missing) = self.buffer.take_u64() else { return Ok(Step::Wait(State::Count)) };
                if missing > ENTRIES_MAX as u64 {
                    return Err(CodecError::TooManyEntries);
                }
                Ok(Step::Go(Entries { missing, ..Entries::default() }.next_state()))
            }
            State::EntryLength(entries) => {
                let Some(length) = self.buffer.take_u64() else {
                    return Ok(Step::Wait(State::EntryLength(entries)));
                };
                let sum = entries.bytes.saturating_add(length);
                if sum > MESSAGE_BYTES_MAX {
                    return Err(CodecError::TooLarge(sum));
                }
                Ok(Step::Go(State::Entry(entries, bounded(length)?)))
            }
            State::Entry(mut entries, length) => {
                let Some(encoded) = self.buffer.take(length) else {
                    return Ok(Step::Wait(State::Entry(entries, length)));
                };
                entries.entries.push(Entry::decode(encoded)?);
                entries.bytes += length as u64;
                entries.missing -= 1;
                Ok(Step::Go(entries.next_state()))
            }
            State::Commit(entries) => match self.buffer.take_u64() {
                Some(commit) => Ok(Step::Done(self.continued(entries, commit))),
                None => Ok(Step::Wait(State::Commit(entries))),
            },
        }
    }

    fn begin(&self, kind: u8) -> Result<Step, CodecError> {
        match kind {
            HEARTBEAT => Ok(Step::Done(Frame::Heartbeat)),
            ENTRIES if self.last.term == 0 => Err(CodecError::NoContext),
            ENTRIES => Ok(Step::Go(State::Count)),
            MESSAGE => Ok(Step::Go(State::MessageLength)),
            unknown => Err(CodecError::UnknownKind(unknown)),
        }
    }

    /// The message that a frame of entries stands for.
    fn continued(&mut self, entries: Entries, commit: u64) -> Frame {
        let LogPosition { term, index } = self.last;
        self.last.index = index.saturating_add(entries.entries.len() as u64);
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
