//! Reads the lines of JSON with which the gateway answers a watch: members are searched and not parsed, only those that
//! are measured, and no event costs an allocation.
//!
//! ```text
//!  {"result":{"header":{...},"events":[{"kv":{"key":"...","create_revision":"2",...,"value":"..."}},{"kv":...}]}}
//! ```
//! Other servers may set spaces elsewhere. The members of a row have etcd's order, and neither names nor braces can occur
//! in base64. A line that is cut waits for the rest of it.

use data_encoding::BASE64;

use super::message::Event;
use crate::Outcome;

/// Longer keys are not of the bench; of values the beginning is enough.
const DECODED_BYTES_MAX: usize = 24;
/// As much in base64.
const ENCODED_BYTES_MAX: usize = DECODED_BYTES_MAX / 3 * 4;

/// The lines of one watch.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line whose rest has not arrived.
    piece: Vec<u8>,
}

/// The next thing that a watch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken<'a> {
    Created,
    /// An event with as much of the value as was decoded.
    Event(Event<'a>),
}

impl Lines {
    /// Takes in some of the body.
    pub(super) fn feed(&mut self, mut data: &[u8], mut emit: impl FnMut(Spoken<'_>)) -> Outcome<()> {
        while let Some(end) = memchr::memchr(b'\n', data) {
            let (line, rest) = (&data[..end], &data[end + 1..]);
            if self.piece.is_empty() {
                read(line, &mut emit)?;
            } else {
                let mut piece = std::mem::take(&mut self.piece);
                piece.extend_from_slice(line);
                read(&piece, &mut emit)?;
                piece.clear();
                self.piece = piece;
            }
            data = rest;
        }
        self.piece.extend_from_slice(data);
        Ok(())
    }
}

/// Takes in one line.
fn read(line: &[u8], emit: &mut impl FnMut(Spoken<'_>)) -> Outcome<()> {
    let malformed = || format!("no answer to a watch: {}", String::from_utf8_lossy(line));
    let Some((head, mut events)) = split(line, b"\"events\"") else {
        if split(line, b"\"created\"").is_none() {
            return Err(malformed().into());
        }
        emit(Spoken::Created);
        return Ok(());
    };
    if split(head, b"\"canceled\"").is_some() {
        return Err(malformed().into());
    }
    while let Some((before, row)) = split(events, b"\"kv\"") {
        let (mut key, mut value) = ([0; DECODED_BYTES_MAX], [0; DECODED_BYTES_MAX]);
        // A deletion says so before its row.
        let is_delete = split(before, b"\"DELETE\"").is_some();
        let (encoded, row) = text(row, b"\"key\"").ok_or_else(malformed)?;
        let key = decode(encoded, &mut key).ok_or_else(malformed)?;
        let (mod_revision, row) = number(row, b"\"mod_revision\"").ok_or_else(malformed)?;
        let (version, row) = number(row, b"\"version\"").ok_or_else(malformed)?;
        let (encoded, row) = text(row, b"\"value\"").ok_or_else(malformed)?;
        let value = decode(encoded, &mut value).ok_or_else(malformed)?;
        emit(Spoken::Event(Event { is_delete, key, mod_revision, version, value }));
        events = row;
    }
    Ok(())
}

/// What is before and behind the first `what`.
fn split<'a>(bytes: &'a [u8], what: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(bytes, what)?;
    Some((&bytes[..at], &bytes[at + what.len()..]))
}

/// The text of the first member with this name, and what is behind it.
fn text<'a>(bytes: &'a [u8], name: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (_, rest) = split(bytes, name)?;
    let rest = rest.strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', rest)?;
    Some((&rest[..end], &rest[end + 1..]))
}

fn number<'a>(bytes: &'a [u8], name: &[u8]) -> Option<(i64, &'a [u8])> {
    let (digits, rest) = text(bytes, name)?;
    Some((str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// The beginning of what is encoded.
fn decode<'a>(encoded: &[u8], out: &'a mut [u8; DECODED_BYTES_MAX]) -> Option<&'a [u8]> {
    let encoded = &encoded[..encoded.len().min(ENCODED_BYTES_MAX)];
    let length = BASE64.decode_len(encoded.len()).ok()?;
    let length = BASE64.decode_mut(encoded, &mut out[..length]).ok()?;
    Some(&out[..length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::key;

    fn row(version: i64, space: &str) -> String {
        let (key, value) = (BASE64.encode(key(7).as_bytes()), BASE64.encode(&[b'v'; 256]));
        format!(
            r#"{{"kv":{{"key":{space}"{key}","create_revision":"2","mod_revision":{space}"{}","version":"{version}","value":"{value}"}}}}"#,
            version + 1
        )
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let created = r#"{"result":{"header":{"revision":"1"},"created":true}}"#;
        let line = |rows: &str| format!(r#"{{"result":{{"header":{{"revision":"9"}},"events":[{rows}]}}}}"#);
        let two = [row(2, ""), row(3, " ")].join(",");
        let body = [created, &line(&row(1, " ")), &line(&two), ""].join("\n");
        for step in [1, 7, 100, body.len()] {
            let (mut lines, mut n_created, mut versions) = (Lines::default(), 0, Vec::new());
            for piece in body.as_bytes().chunks(step) {
                let fed = lines.feed(piece, |spoken| match spoken {
                    Spoken::Created => n_created += 1,
                    Spoken::Event(event) => {
                        assert_eq!(event.key, key(7).as_bytes());
                        assert_eq!(event.mod_revision, event.version + 1);
                        assert_eq!(event.value, [b'v'; DECODED_BYTES_MAX]);
                        versions.push(event.version);
                    }
                });
                fed.unwrap();
            }
            assert_eq!((n_created, &versions[..]), (1, &[1, 2, 3][..]), "in steps of {step}");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for line in [
            r#"{"error":{"code":11}}"#,
            r#"{"result":{"canceled":true,"events":[]}}"#,
            r#"{"result":{"events":[{"kv":{"key":"!!!!"}}]}}"#,
            r#"{"result":{"events":[{"kv":{"key":"YQ=="}}]}}"#,
        ] {
            assert!(Lines::default().feed(format!("{line}\n").as_bytes(), |_| ()).is_err(), "{line}");
        }
    }
}
