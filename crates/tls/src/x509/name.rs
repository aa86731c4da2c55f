//! The names of issuers and subjects.

use asn1::{ObjectIdentifier, oid};

use super::der::{Der, SEQUENCE, SET, Tag};

const COMMON_NAME: ObjectIdentifier = oid!(2, 5, 4, 3);
const ORGANIZATION: ObjectIdentifier = oid!(2, 5, 4, 10);

const UTF8_STRING: Tag = 12;
const NUMERIC_STRING: Tag = 18;
const PRINTABLE_STRING: Tag = 19;
const T61_STRING: Tag = 20;
const IA5_STRING: Tag = 22;
const BMP_STRING: Tag = 30;

/// What is looked at in a name. Names are compared as they are encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    /// The last one; empty if there is none.
    pub(super) common_name: String,
    /// The first one; empty if there is none.
    pub(super) organization: String,
}

impl Name {
    /// Reads an encoded name; `None` if it is none, or has a value that is no text.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let mut name = Self::default();
        let mut parts = Der::new(der).inside(SEQUENCE)?;
        while !parts.is_empty() {
            let mut attributes = parts.inside(SET)?;
            while !attributes.is_empty() {
                name.add(attributes.inside(SEQUENCE)?)?;
            }
        }
        Some(name)
    }

    fn add(&mut self, mut attribute: Der<'_>) -> Option<()> {
        let kind = attribute.oid()?;
        let (tag, value) = attribute.any()?;
        let value = text(tag, value.data())?;
        if kind == COMMON_NAME {
            self.common_name = value;
        } else if kind == ORGANIZATION && self.organization.is_empty() {
            self.organization = value;
        }
        Some(())
    }
}

fn text(tag: Tag, bytes: &[u8]) -> Option<String> {
    let ascii = |is_allowed: fn(u8) -> bool| {
        bytes.iter().all(|byte| is_allowed(*byte)).then(|| bytes.iter().copied().map(char::from).collect())
    };
    match tag {
        UTF8_STRING => String::from_utf8(bytes.to_vec()).ok(),
        PRINTABLE_STRING => ascii(is_printable),
        NUMERIC_STRING => ascii(|byte| byte.is_ascii_digit() || byte == b' '),
        IA5_STRING => ascii(|byte| byte.is_ascii()),
        // Its characters are almost those of Latin 1, which is how it is read everywhere.
        T61_STRING => ascii(|_| true),
        BMP_STRING => bmp(bytes),
        _ => None,
    }
}

/// `*` and `&` are no characters of this kind, but many certificates have them.
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?*&".contains(&byte)
}

fn bmp(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_suffix(&[0, 0]).unwrap_or(bytes);
    let (pairs, []) = bytes.as_chunks::<2>() else { return None };
    let character = |pair: &[u8; 2]| match u16::from_be_bytes(*pair) {
        0xfffe | 0xffff | 0xfdd0..=0xfdef => None,
        // Halves of pairs are no characters.
        unit => char::from_u32(u32::from(unit)),
    };
    pairs.iter().map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        fn check(tag: Tag, bytes: &[u8], expected: Option<&str>) {
            assert_eq!(text(tag, bytes).as_deref(), expected, "{tag} {bytes:?}");
        }
        check(PRINTABLE_STRING, b"*.a & b", Some("*.a & b"));
        check(PRINTABLE_STRING, b"a@b", None);
        check(UTF8_STRING, "é".as_bytes(), Some("é"));
        check(UTF8_STRING, b"\xff", None);
        check(T61_STRING, b"\xe9", Some("é"));
        check(BMP_STRING, b"\x20\xac\0\0", Some("€"));
        check(BMP_STRING, b"\x20", None);
        check(BMP_STRING, b"\xd8\x00", None);
        check(BMP_STRING, b"\xff\xff", None);
        check(IA5_STRING, b"a@b", Some("a@b"));
        check(IA5_STRING, b"\x80", None);
        check(NUMERIC_STRING, b"1 2", Some("1 2"));
        check(NUMERIC_STRING, b"a", None);
        check(SEQUENCE, b"", None);
    }
}
