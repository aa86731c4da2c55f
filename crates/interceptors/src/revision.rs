//! The revision in the header of a response, found in its first bytes.

/// Bytes of a response that have its header, if it has one.
const HEADER_BYTES_MAX: usize = 64;

/// The revision in the header of the first response.
#[derive(Debug)]
pub(crate) enum FirstRevision {
    /// Its first bytes, too few.
    Unseen(Vec<u8>),
    Known(i64),
    /// The response has none, or not in its first bytes.
    None,
}

impl FirstRevision {
    /// The next bytes of the response.
    pub(crate) fn see(&mut self, data: &[u8]) {
        let Self::Unseen(first) = self else { return };
        // Of a long response the prefix comes by itself.
        let all = if first.is_empty() {
            data
        } else {
            first.extend_from_slice(data);
            &first[..]
        };
        match header_revision(all) {
            Some(revision) => *self = Self::Known(revision),
            None if all.len() >= HEADER_BYTES_MAX => *self = Self::None,
            None if first.is_empty() => first.extend_from_slice(data),
            None => {}
        }
    }
}

/// The revision in the header of an encoded response: field 3 of its field 1, behind the five bytes of gRPC's own.
fn header_revision(data: &[u8]) -> Option<i64> {
    const HEADER: u64 = 1 << 3 | 2;
    const REVISION: u64 = 3 << 3;
    let mut message = data.strip_prefix(&[0])?.get(4..)?;
    if varint(&mut message)? != HEADER {
        return None;
    }
    let len = usize::try_from(varint(&mut message)?).ok()?;
    let mut header = message.get(..len)?;
    while !header.is_empty() {
        let (tag, value) = (varint(&mut header)?, varint(&mut header)?);
        if tag == REVISION {
            return Some(value.cast_signed());
        }
    }
    None
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revision_is_found_in_the_header() {
        fn check(data: &[u8], expected: Option<i64>) {
            assert_eq!(header_revision(data), expected, "{data:?}");
        }
        check(b"\0\0\0\0\x09\x0a\x07\x08\x81\x01\x10\x05\x18\x02", Some(2));
        check(b"\0\0\0\0\x09\x0a\x07\x08\x81\x01\x10\x05\x18\xac\x02", None);
        check(b"\0\0\0\0\x0a\x0a\x08\x08\x81\x01\x10\x05\x18\xac\x02", Some(300));
        // Without a revision, without a header, compressed, cut.
        check(b"\0\0\0\0\x05\x0a\x03\x08\x81\x01", None);
        check(b"\0\0\0\0\x02\x08\x01", None);
        check(b"\x01\0\0\0\x09\x0a\x07\x08\x81\x01\x10\x05\x18\x02", None);
        check(b"\0\0\0", None);
        check(b"", None);
    }
}
