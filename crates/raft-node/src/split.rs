//! Appends of a bounded size.
//!
//! The raft library adds entries to an append that has not left yet, which saves messages, but does not look at
//! the resulting size.

use raft::eraftpb::{Entry, Message, MessageType};

/// The message, or if it is an append of more than `bytes_max` payload bytes, several that say the same. An entry
/// that is larger by itself stays whole.
pub(crate) fn split(mut message: Message, bytes_max: u64) -> Vec<Message> {
    let bytes = |entry: &Entry| entry.data.len() as u64;
    let total: u64 = message.entries.iter().map(bytes).sum();
    if message.get_msg_type() != MessageType::MsgAppend || total <= bytes_max {
        return vec![message];
    }
    let entries = message.take_entries();
    let (mut pieces, mut room) = (Vec::new(), bytes_max);
    for entry in entries {
        if bytes(&entry) > room && !message.entries.is_empty() {
            let (index, log_term) = message.entries.last().map_or((0, 0), |last| (last.index, last.term));
            let next = Message { index, log_term, entries: Default::default(), ..message.clone() };
            pieces.push(std::mem::replace(&mut message, next));
            room = bytes_max;
        }
        room = room.saturating_sub(bytes(&entry));
        message.mut_entries().push(entry);
    }
    pieces.push(message);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends entries of these sizes behind entry 4 of term 2; shows each piece's place and indices.
    fn check(sizes: &[usize], expected: &[(u64, u64, &[u64])]) {
        let mut message = Message { index: 4, log_term: 2, term: 7, commit: 5, ..Message::default() };
        message.set_msg_type(MessageType::MsgAppend);
        for (size, index) in sizes.iter().zip(5..) {
            let term = if index < 7 { 3 } else { 4 };
            message.mut_entries().push(Entry {
                index,
                term,
                data: vec![0; *size].into(),
                ..Entry::default()
            });
        }
        let pieces = split(message, 100);
        let shown: Vec<_> = pieces
            .iter()
            .map(|piece| {
                assert_eq!((piece.term, piece.commit), (7, 5));
                (piece.index, piece.log_term, piece.entries.iter().map(|e| e.index).collect::<Vec<_>>())
            })
            .collect();
        let expected: Vec<_> = expected.iter().map(|(index, term, e)| (*index, *term, e.to_vec())).collect();
        assert_eq!(shown, expected, "{sizes:?}");
    }

    #[test]
    fn large_appends_are_sent_in_pieces() {
        check(&[], &[(4, 2, &[])]);
        check(&[500], &[(4, 2, &[5])]);
        check(&[50, 50, 0], &[(4, 2, &[5, 6, 7])]);
        check(&[60, 60, 60], &[(4, 2, &[5]), (5, 3, &[6]), (6, 3, &[7])]);
        check(&[0, 0, 0, 500, 10], &[(4, 2, &[5, 6, 7]), (7, 4, &[8]), (8, 4, &[9])]);
    }
}
