//! Certificates, as far as Go reads them.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use asn1::{BigInt, ObjectIdentifier};

use super::alternative::AlternativeNames;
use super::der::{Der, INTEGER, SEQUENCE, field, wrapper};
use super::extensions::{Extension, Extensions};
use super::fault::Malformed;
use super::key::PublicKey;
use super::name::Name;
use super::signature::Algorithm;
use crate::identity::PeerIdentity;

/// A certificate. What is in it is well-formed by Go's rules, and nothing of it is proved.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(super) der: Box<[u8]>,
    /// What is signed, in `der`.
    signed: Range<usize>,
    pub(super) algorithm: Algorithm,
    pub(super) signature: Box<[u8]>,
    /// From 1 on.
    pub(super) version: i64,
    /// Without leading zeros.
    pub(crate) serial: Box<[u8]>,
    pub(super) issuer: Box<[u8]>,
    pub(super) subject: Box<[u8]>,
    pub(super) name: Name,
    /// In seconds of Unix time.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// The key as it is encoded, with its kind.
    pub(crate) key_info: Box<[u8]>,
    /// `None` for a kind that Go does not know.
    pub(crate) key: Option<PublicKey>,
    pub(crate) identity: Arc<PeerIdentity>,
    pub(super) extensions: Extensions,
}

impl Certificate {
    /// Reads a certificate and what follows it.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        const CERTIFICATE: Malformed = Malformed::Part("malformed certificate");
        let mut input = Der::new(bytes);
        let der = input.whole(SEQUENCE).ok_or(CERTIFICATE)?;
        let mut outer = Der::new(der).inside(SEQUENCE).ok_or(CERTIFICATE)?;
        let signed = outer.whole(SEQUENCE).ok_or(Malformed::Part("malformed tbs certificate"))?;
        let algorithm = outer.content(SEQUENCE).ok_or(Malformed::Part("malformed algorithm identifier"))?;
        let mut inner =
            Der::new(signed).inside(SEQUENCE).ok_or(Malformed::Part("malformed tbs certificate"))?;
        let begin = signed.as_ptr().addr() - der.as_ptr().addr();
        let mut certificate = Self::fields(&mut inner, algorithm)?;
        certificate.signed = begin..begin + signed.len();
        certificate.der = der.into();
        certificate.signature = outer.bits().ok_or(Malformed::Part("malformed signature"))?;
        Ok((certificate, &bytes[der.len()..]))
    }

    /// Reads one certificate, and nothing else.
    pub(crate) fn read_one(bytes: &[u8]) -> Result<Self, Malformed> {
        match Self::read(bytes)? {
            (certificate, []) => Ok(certificate),
            _ => Err(Malformed::Part("trailing data")),
        }
    }

    /// Reads what is signed.
    fn fields(tbs: &mut Der<'_>, outer_algorithm: &[u8]) -> Result<Self, Malformed> {
        let version = version(tbs)?;
        let serial: BigInt<'_> = tbs.read().ok_or(Malformed::Part("malformed serial number"))?;
        if serial.is_negative() {
            return Err(Malformed::Part("negative serial number"));
        }
        let algorithm =
            tbs.content(SEQUENCE).ok_or(Malformed::Part("malformed signature algorithm identifier"))?;
        if algorithm != outer_algorithm {
            return Err(Malformed::Part("inner and outer signature algorithm identifiers don't match"));
        }
        let algorithm = Algorithm::read(Der::new(algorithm)).ok_or(Malformed::Part("malformed OID"))?;
        let issuer = tbs.whole(SEQUENCE).ok_or(Malformed::Part("malformed issuer"))?;
        Name::read(issuer).ok_or(Malformed::Part("invalid RDNSequence"))?;
        let mut validity = tbs.inside(SEQUENCE).ok_or(Malformed::Part("malformed validity"))?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let subject = tbs.whole(SEQUENCE).ok_or(Malformed::Part("malformed issuer"))?;
        let name = Name::read(subject).ok_or(Malformed::Part("invalid RDNSequence"))?;
        let key_info = tbs.whole(SEQUENCE).ok_or(Malformed::Part("malformed spki"))?;
        let key =
            PublicKey::read(Der::new(key_info).inside(SEQUENCE).ok_or(Malformed::Part("malformed spki"))?)?;
        let extensions = if version == 3 { read_extensions(tbs)? } else { Extensions::default() };
        let identity = identity(&name, extensions.alternative.as_ref());
        Ok(Self {
            der: Box::default(),
            signed: 0..0,
            algorithm,
            signature: Box::default(),
            version,
            serial: without_zeros(serial.as_bytes()).into(),
            issuer: issuer.into(),
            subject: subject.into(),
            name,
            not_before,
            not_after,
            key_info: key_info.into(),
            key,
            identity: Arc::new(identity),
            extensions,
        })
    }

    /// The bytes that the issuer has signed.
    pub(super) fn signed(&self) -> &[u8] {
        &self.der[self.signed.clone()]
    }

    /// Whether its time is over, or has not come, at this second of Unix time.
    pub(crate) fn is_out_of_date(&self, now: i64) -> bool {
        !(self.not_before..=self.not_after).contains(&now)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("name", &self.name).finish_non_exhaustive()
    }
}

fn version(tbs: &mut Der<'_>) -> Result<i64, Malformed> {
    const VERSION: Malformed = Malformed::Part("malformed version");
    let number = match tbs.optional(wrapper(0)).ok_or(VERSION)? {
        Some(inside) => {
            let mut inside = Der::new(inside);
            let number = inside.read::<i64>().filter(|number| *number >= 0 && inside.is_empty());
            number.ok_or(VERSION)?
        }
        None => 0,
    };
    if number > 2 { Err(Malformed::Part("invalid version")) } else { Ok(number + 1) }
}

/// Reads what follows the key in certificates of version 3.
fn read_extensions(tbs: &mut Der<'_>) -> Result<Extensions, Malformed> {
    const EXTENSIONS: Malformed = Malformed::Part("malformed extensions");
    const EXTENSION: Malformed = Malformed::Part("malformed extension");
    tbs.optional(field(1)).ok_or(Malformed::Part("malformed issuerUniqueID"))?;
    tbs.optional(field(2)).ok_or(Malformed::Part("malformed subjectUniqueID"))?;
    let mut read = Extensions::default();
    let Some(inside) = tbs.optional(wrapper(3)).ok_or(EXTENSIONS)? else { return Ok(read) };
    let mut all = Der::new(inside).inside(SEQUENCE).ok_or(EXTENSIONS)?;
    let mut seen: HashSet<ObjectIdentifier> = HashSet::new();
    while !all.is_empty() {
        let extension = Extension::read(all.inside(SEQUENCE).ok_or(EXTENSION)?)?;
        if !seen.insert(extension.id.clone()) {
            return Err(Malformed::Twice(extension.id.to_string()));
        }
        read.add(&extension)?;
    }
    Ok(read)
}

fn identity(name: &Name, alternative: Option<&AlternativeNames>) -> PeerIdentity {
    let address = |bytes: &[u8]| match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_canonical()),
    };
    let names = alternative.cloned().unwrap_or_default();
    PeerIdentity {
        common_name: name.common_name.as_str().into(),
        ip_addresses: names.addresses.iter().filter_map(|bytes| address(bytes)).collect(),
        dns_names: names.hosts,
    }
}

pub(crate) fn without_zeros(bytes: &[u8]) -> &[u8] {
    let n_zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[n_zeros..]
}

/// The serial numbers on a list of revoked certificates. Nothing else of it is looked at, beside its form.
pub(crate) fn revoked_serials(list: &[u8]) -> Result<Vec<Box<[u8]>>, Malformed> {
    const LIST: Malformed = Malformed::Part("malformed crl");
    let mut outer = Der::new(list).inside(SEQUENCE).ok_or(LIST)?;
    let mut tbs = outer.inside(SEQUENCE).ok_or(Malformed::Part("malformed tbs crl"))?;
    if !tbs.next_is(INTEGER) || tbs.read::<i64>() != Some(1) {
        return Err(Malformed::Part("unsupported crl version"));
    }
    let algorithm =
        tbs.content(SEQUENCE).ok_or(Malformed::Part("malformed signature algorithm identifier"))?;
    if outer.content(SEQUENCE).ok_or(Malformed::Part("malformed algorithm identifier"))? != algorithm {
        return Err(Malformed::Part("inner and outer signature algorithm identifiers don't match"));
    }
    outer.bits().ok_or(Malformed::Part("malformed signature"))?;
    let issuer = tbs.whole(SEQUENCE).ok_or(Malformed::Part("malformed issuer"))?;
    Name::read(issuer).ok_or(Malformed::Part("invalid RDNSequence"))?;
    tbs.time()?;
    if tbs.next_is_time() {
        tbs.time()?;
    }
    let mut serials = Vec::new();
    let mut entries = match tbs.next_is(SEQUENCE) {
        true => tbs.inside(SEQUENCE).ok_or(LIST)?,
        false => Der::new(&[]),
    };
    while !entries.is_empty() {
        let mut entry = entries.inside(SEQUENCE).ok_or(LIST)?;
        let serial: BigInt<'_> = entry.read().ok_or(Malformed::Part("malformed serial number"))?;
        entry.time()?;
        serials.push(without_sign(&serial));
    }
    Ok(serials)
}

/// As etcd compares numbers: -1 on a list stands for 1.
fn without_sign(number: &BigInt<'_>) -> Box<[u8]> {
    let mut bytes = number.as_bytes().to_vec();
    if number.is_negative() {
        // The complement of two: all bits the other way round, and one more.
        let n_zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        let last = bytes.len() - 1 - n_zeros;
        bytes[..last].iter_mut().for_each(|byte| *byte = !*byte);
        bytes[last] = bytes[last].wrapping_neg();
    }
    without_zeros(&bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_sign() {
        fn check(der: &[u8], expected: &[u8]) {
            let number = <BigInt<'_> as asn1::SimpleAsn1Readable<'_>>::parse_data(der).expect("a number");
            assert_eq!(&*without_sign(&number), expected, "{der:?}");
        }
        check(&[0], &[]);
        check(&[1], &[1]);
        check(&[0, 0xff], &[0xff]);
        check(&[0xff], &[1]);
        check(&[0x80], &[0x80]);
        check(&[0xff, 0], &[1, 0]);
        check(&[0xf4, 0x36], &[0x0b, 0xca]);
        check(&[0x80, 0, 0], &[0x80, 0, 0]);
    }

    #[test]
    fn versions() {
        let check = |der: &[u8], expected: Option<i64>| {
            assert_eq!(version(&mut Der::new(der)).ok(), expected, "{der:?}");
        };
        check(&[0xa0, 3, 2, 1, 2], Some(3));
        check(&[2, 1, 7], Some(1));
        check(&[0xa0, 3, 2, 1, 3], None);
        check(&[0xa0, 3, 2, 1, 0xff], None);
        check(&[0xa0, 6, 2, 1, 2, 2, 1, 2], None);
    }
}
