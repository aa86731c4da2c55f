//! Values in DER, one after the other.

use asn1::{BitString, ObjectIdentifier, SimpleAsn1Readable, Tlv, UtcTime, X509GeneralizedTime};
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, date};

use super::fault::Malformed;

const UNIX_EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// The first byte of an encoded value: class, form and number of its tag.
pub(super) type Tag = u8;

pub(super) const BOOLEAN: Tag = 0x01;
pub(super) const INTEGER: Tag = 0x02;
pub(super) const OCTET_STRING: Tag = 0x04;
pub(super) const OBJECT_IDENTIFIER: Tag = 0x06;
pub(super) const UTC_TIME: Tag = 0x17;
pub(super) const GENERALIZED_TIME: Tag = 0x18;
pub(super) const SEQUENCE: Tag = 0x30;
pub(super) const SET: Tag = 0x31;

/// The tag of a field by its number, where the field replaces a simple type's own tag.
pub(super) const fn field(number: u8) -> Tag {
    0x80 | number
}

/// The tag of a field by its number, where the field contains values.
pub(super) const fn wrapper(number: u8) -> Tag {
    0xa0 | number
}

/// Values that are still to be read. Encodings that DER forbids are no values; what follows the last one that is
/// wanted is not looked at, as in Go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn next_is(&self, tag: Tag) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The next value, whatever it is.
    pub(super) fn any(&mut self) -> Option<(Tag, Tlv<'a>)> {
        let (value, rest) = asn1::strip_tlv(self.0).ok()?;
        self.0 = rest;
        Some((value.tag().as_u8()?, value))
    }

    fn next(&mut self, tag: Tag) -> Option<Tlv<'a>> {
        self.any().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }

    /// The content of the next value, which has this tag.
    pub(super) fn content(&mut self, tag: Tag) -> Option<&'a [u8]> {
        self.next(tag).map(|value| value.data())
    }

    /// The next value with its head, which has this tag.
    pub(super) fn whole(&mut self, tag: Tag) -> Option<&'a [u8]> {
        self.next(tag).map(|value| value.full_data())
    }

    /// The values in the next one, which has this tag.
    pub(super) fn inside(&mut self, tag: Tag) -> Option<Self> {
        self.content(tag).map(Self)
    }

    /// The content of the next value if it has this tag; the outer option is `None` if it is no value.
    pub(super) fn optional(&mut self, tag: Tag) -> Option<Option<&'a [u8]>> {
        if self.next_is(tag) { self.content(tag).map(Some) } else { Some(None) }
    }

    /// The next value as one of its type.
    pub(super) fn read<T: SimpleAsn1Readable<'a>>(&mut self) -> Option<T> {
        let content = self.content(T::TAG.as_u8()?)?;
        T::parse_data(content).ok()
    }

    /// An object identifier whose numbers are below 2^31. Go reads no others, but for policies.
    pub(super) fn oid(&mut self) -> Option<ObjectIdentifier> {
        // Each byte of a number has seven of its bits; the last one is below 0x80.
        let is_small = |number: &[u8]| number.len() < 5 || (number.len() == 5 && number[0] < 0x88);
        self.read()
            .filter(|oid: &ObjectIdentifier| oid.as_der().split_inclusive(|byte| *byte < 0x80).all(is_small))
    }

    /// Bits, with zeros in front so that they fill bytes, which Go makes of those that don't.
    pub(super) fn bits(&mut self) -> Option<Box<[u8]>> {
        self.read::<BitString<'_>>().map(|bits| right_aligned(&bits))
    }

    pub(super) fn next_is_time(&self) -> bool {
        self.next_is(UTC_TIME) || self.next_is(GENERALIZED_TIME)
    }

    /// A time, in seconds of Unix time.
    pub(super) fn time(&mut self) -> Result<i64, Malformed> {
        let (time, otherwise) = if self.next_is(UTC_TIME) {
            (self.read::<UtcTime>().and_then(|time| seconds(time.as_datetime())), "malformed UTCTime")
        } else if self.next_is(GENERALIZED_TIME) {
            let time = self.read::<X509GeneralizedTime>();
            (time.and_then(|time| seconds(time.as_datetime())), "malformed GeneralizedTime")
        } else {
            (None, "unsupported time format")
        };
        time.ok_or(Malformed::Part(otherwise))
    }
}

fn right_aligned(bits: &BitString<'_>) -> Box<[u8]> {
    let (bytes, shift) = (bits.as_bytes(), u32::from(bits.padding_bits()));
    if shift == 0 {
        return bytes.into();
    }
    let before = std::iter::once(0).chain(bytes.iter().copied());
    before.zip(bytes).map(|(before, byte)| (before << (8 - shift)) | (byte >> shift)).collect()
}

fn seconds(time: &asn1::DateTime) -> Option<i64> {
    let part = |part: u8| i8::try_from(part).ok();
    let date = Date::new(i16::try_from(time.year()).ok()?, part(time.month())?, part(time.day())?).ok()?;
    let at = date.at(part(time.hour())?, part(time.minute())?, part(time.second())?, 0);
    // The last two days of the year 9999, which stand for ever in certificates, are no timestamps of the library.
    Some(at.duration_since(UNIX_EPOCH).as_secs())
}

/// A second of Unix time as a date and time of UTC, in the form of RFC 3339.
pub(super) fn utc(seconds: i64) -> String {
    let at = UNIX_EPOCH.checked_add(SignedDuration::from_secs(seconds));
    at.map(|at| format!("{at}Z")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        fn check(tag: Tag, text: &str, expected: Option<i64>) {
            let length = u8::try_from(text.len()).expect("a short text");
            let der = [&[tag, length], text.as_bytes()].concat();
            assert_eq!(Der::new(&der).time().ok(), expected, "{text}");
        }
        check(UTC_TIME, "700101000000Z", Some(0));
        check(UTC_TIME, "491231235959Z", Some(2_524_607_999));
        check(UTC_TIME, "500101000000Z", Some(-631_152_000));
        check(GENERALIZED_TIME, "19700101000001Z", Some(1));
        check(GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799));
        check(GENERALIZED_TIME, "00000101000000Z", Some(-62_167_219_200));
        check(UTC_TIME, "700230000000Z", None);
        check(UTC_TIME, "7001010000Z", None);
        check(GENERALIZED_TIME, "19700101000000.5Z", None);
        check(INTEGER, "1", None);
        assert_eq!(utc(253_402_300_799), "9999-12-31T23:59:59Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59Z");
        assert_eq!(utc(i64::MAX), "");
    }

    #[test]
    fn object_identifiers() {
        fn check(text: &str, expected: bool) {
            let oid = ObjectIdentifier::from_string(text).expect("an object identifier");
            let length = u8::try_from(oid.as_der().len()).expect("a short one");
            let der = [&[OBJECT_IDENTIFIER, length], oid.as_der()].concat();
            assert_eq!(Der::new(&der).oid().is_some(), expected, "{text}");
        }
        check("2.5.29.17", true);
        check("1.2.2147483647.1", true);
        check("1.2.2147483648.1", false);
        check("2.25.329800735698586629295641978511506172918", false);
    }

    #[test]
    fn values() {
        let bytes = [SEQUENCE, 3, INTEGER, 1, 7, BOOLEAN, 1, 0xff, OCTET_STRING, 2, 1];
        let mut der = Der::new(&bytes);
        assert!(der.next_is(SEQUENCE));
        assert_eq!(der.inside(SEQUENCE).and_then(|mut inner| inner.read::<u8>()), Some(7));
        assert_eq!(der.optional(field(0)), Some(None));
        assert_eq!(der.read::<bool>(), Some(true));
        assert!(!der.is_empty());
        assert!(der.any().is_none(), "its end is missing");
        assert_eq!(Der::new(&[3, 3, 4, 0xab, 0xc0]).bits().as_deref(), Some(&[0x0a, 0xbc][..]));
        assert_eq!(Der::new(&[3, 2, 0, 0xab]).bits().as_deref(), Some(&[0xab][..]));
        let long_form = [OCTET_STRING, 0x81, 1, 0];
        assert!(Der::new(&long_form).any().is_none(), "DER has the short form for it");
    }
}
