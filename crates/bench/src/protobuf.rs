//! Fields of protobuf messages where they lie: walking them costs no allocation and no copy.

/// A field of a protobuf message: its number, and what it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field<'a> {
    Number(u32, u64),
    Bytes(u32, &'a [u8]),
}

impl<'a> Field<'a> {
    /// The next field, which must be whole. Fixed-width ones do not occur in what is read this way.
    pub(crate) fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let mut rest = *bytes;
        let tag = take_varint(&mut rest)?;
        let number = u32::try_from(tag >> 3).ok()?;
        let field = match tag & 7 {
            0 => Field::Number(number, take_varint(&mut rest)?),
            2 => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                let (content, after) = rest.split_at_checked(length)?;
                rest = after;
                Field::Bytes(number, content)
            }
            _ => return None,
        };
        *bytes = rest;
        Some(field)
    }
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut rest = *bytes;
    let mut value = 0;
    let mut shift = 0;
    // A plain loop: iterators are calls in a build without optimised dependencies, and this runs for every field.
    while let [byte, after @ ..] = rest {
        rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            *bytes = rest;
            return Some(value);
        }
        shift += 7;
        if shift == 70 {
            break;
        }
    }
    None
}
