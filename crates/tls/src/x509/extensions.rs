//! The extensions that Go knows.

use asn1::{BitString, ObjectIdentifier, oid};

use super::alternative::AlternativeNames;
use super::constraints::NameConstraints;
use super::der::{BOOLEAN, Der, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, field, wrapper};
use super::fault::Malformed;
use super::policies::Policies;

const SUBJECT_KEY_ID: ObjectIdentifier = oid!(2, 5, 29, 14);
const KEY_USAGE: ObjectIdentifier = oid!(2, 5, 29, 15);
const ALTERNATIVE_NAMES: ObjectIdentifier = oid!(2, 5, 29, 17);
const BASIC_CONSTRAINTS: ObjectIdentifier = oid!(2, 5, 29, 19);
const NAME_CONSTRAINTS: ObjectIdentifier = oid!(2, 5, 29, 30);
const LISTS_OF_REVOKED: ObjectIdentifier = oid!(2, 5, 29, 31);
const POLICIES: ObjectIdentifier = oid!(2, 5, 29, 32);
const POLICY_MAPPINGS: ObjectIdentifier = oid!(2, 5, 29, 33);
const AUTHORITY_KEY_ID: ObjectIdentifier = oid!(2, 5, 29, 35);
const POLICY_CONSTRAINTS: ObjectIdentifier = oid!(2, 5, 29, 36);
const EXTENDED_KEY_USAGE: ObjectIdentifier = oid!(2, 5, 29, 37);
const INHIBIT_ANY_POLICY: ObjectIdentifier = oid!(2, 5, 29, 54);
const AUTHORITY_ACCESS: ObjectIdentifier = oid!(1, 3, 6, 1, 5, 5, 7, 1, 1);

const ANY_USAGE: ObjectIdentifier = oid!(2, 5, 29, 37, 0);
const SERVER_USAGE: ObjectIdentifier = oid!(1, 3, 6, 1, 5, 5, 7, 3, 1);
const CLIENT_USAGE: ObjectIdentifier = oid!(1, 3, 6, 1, 5, 5, 7, 3, 2);

const KEY_USAGES: usize = 9;

/// What the extensions say; the default is that of a certificate without any.
#[derive(Clone, Default)]
pub(super) struct Extensions {
    /// One that is marked as critical is not known.
    pub(super) has_unknown_critical: bool,
    /// The bits of the key usage, the first one lowest; 0 if it does not matter.
    pub(super) key_usage: u16,
    pub(super) basic: Option<BasicConstraints>,
    pub(super) usages: Usages,
    pub(super) alternative: Option<AlternativeNames>,
    /// Empty if it has none.
    pub(super) subject_key_id: Box<[u8]>,
    pub(super) authority_key_id: Box<[u8]>,
    pub(super) constraints: Option<NameConstraints>,
    pub(super) policies: Policies,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BasicConstraints {
    pub(super) is_authority: bool,
    /// How many authorities may be between this one and the last certificate.
    pub(super) path_length_max: Option<u64>,
}

/// What a certificate is for. Without any of these it is for everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usages {
    pub(super) any: bool,
    pub(super) server: bool,
    pub(super) client: bool,
    /// Another one.
    pub(super) other: bool,
}

/// An extension as it is encoded.
pub(super) struct Extension<'a> {
    pub(super) id: ObjectIdentifier,
    pub(super) is_critical: bool,
    pub(super) value: &'a [u8],
}

impl<'a> Extension<'a> {
    pub(super) fn read(mut fields: Der<'a>) -> Result<Self, Malformed> {
        let id = fields.oid().ok_or(Malformed::Part("malformed extension OID field"))?;
        let is_critical = match fields.next_is(BOOLEAN) {
            true => fields.read().ok_or(Malformed::Part("malformed extension critical field"))?,
            false => false,
        };
        let value = fields.content(OCTET_STRING).ok_or(Malformed::Part("malformed extension value field"))?;
        Ok(Self { id, is_critical, value })
    }

    fn not_critical(&self, otherwise: &'static str) -> Result<(), Malformed> {
        if self.is_critical { Err(Malformed::Part(otherwise)) } else { Ok(()) }
    }
}

impl Extensions {
    pub(super) fn add(&mut self, extension: &Extension<'_>) -> Result<(), Malformed> {
        let value = Der::new(extension.value);
        let mut is_known = true;
        match extension.id {
            KEY_USAGE => self.key_usage = key_usage(value).ok_or(Malformed::Part("invalid key usage"))?,
            BASIC_CONSTRAINTS => {
                self.basic =
                    Some(basic_constraints(value).ok_or(Malformed::Part("invalid basic constraints"))?);
            }
            ALTERNATIVE_NAMES => {
                let names = AlternativeNames::read(extension.value)?;
                is_known = names.has_any();
                self.alternative = Some(names);
            }
            NAME_CONSTRAINTS => {
                let constraints = NameConstraints::read(extension.value)?;
                is_known = !constraints.has_unknown;
                self.constraints = Some(constraints);
            }
            EXTENDED_KEY_USAGE => {
                self.usages = usages(value).ok_or(Malformed::Part("invalid extended key usages"))?;
            }
            SUBJECT_KEY_ID => {
                extension.not_critical("subject key identifier incorrectly marked critical")?;
                let id = { value }
                    .content(OCTET_STRING)
                    .ok_or(Malformed::Part("invalid subject key identifier"))?;
                self.subject_key_id = id.into();
            }
            AUTHORITY_KEY_ID => {
                extension.not_critical("authority key identifier incorrectly marked critical")?;
                let id =
                    authority_key_id(value).ok_or(Malformed::Part("invalid authority key identifier"))?;
                self.authority_key_id = id.into();
            }
            LISTS_OF_REVOKED => {
                lists_of_revoked(value).ok_or(Malformed::Part("invalid CRL distribution points"))?;
            }
            AUTHORITY_ACCESS => {
                extension.not_critical("authority info access incorrectly marked critical")?;
                authority_access(value).ok_or(Malformed::Part("invalid authority info access"))?;
            }
            POLICIES => {
                self.policies.read_policies(value).ok_or(Malformed::Part("invalid certificate policies"))?;
            }
            POLICY_MAPPINGS => {
                let read = self.policies.read_mappings(value);
                read.ok_or(Malformed::Part("invalid policy mappings extension"))?;
            }
            POLICY_CONSTRAINTS => {
                let read = self.policies.read_constraints(value);
                read.ok_or(Malformed::Part("invalid policy constraints extension"))?;
            }
            INHIBIT_ANY_POLICY => {
                let read = { value }.read::<i64>();
                let number = read.ok_or(Malformed::Part("invalid inhibit any policy extension"))?;
                self.policies.inhibit_any = u64::try_from(number).ok();
            }
            _ => is_known = false,
        }
        self.has_unknown_critical |= extension.is_critical && !is_known;
        Ok(())
    }
}

fn key_usage(mut value: Der<'_>) -> Option<u16> {
    let bits: BitString<'_> = value.read()?;
    Some((0..KEY_USAGES).filter(|bit| bits.has_bit_set(*bit)).fold(0, |usage, bit| usage | 1 << bit))
}

fn basic_constraints(mut value: Der<'_>) -> Option<BasicConstraints> {
    let mut fields = value.inside(SEQUENCE)?;
    let is_authority = if fields.next_is(BOOLEAN) { fields.read()? } else { false };
    let path_length_max = if fields.next_is(INTEGER) { Some(fields.read()?) } else { None };
    Some(BasicConstraints { is_authority, path_length_max })
}

fn usages(mut value: Der<'_>) -> Option<Usages> {
    let mut list = value.inside(SEQUENCE)?;
    let mut usages = Usages::default();
    while !list.is_empty() {
        match list.oid()? {
            ANY_USAGE => usages.any = true,
            SERVER_USAGE => usages.server = true,
            CLIENT_USAGE => usages.client = true,
            _ => usages.other = true,
        }
    }
    Some(usages)
}

/// Empty if it is none.
fn authority_key_id<'a>(mut value: Der<'a>) -> Option<&'a [u8]> {
    let mut fields = value.inside(SEQUENCE)?;
    Some(fields.optional(field(0))?.unwrap_or_default())
}

/// Checks the form of what is not used.
fn lists_of_revoked(mut value: Der<'_>) -> Option<()> {
    let mut points = value.inside(SEQUENCE)?;
    while !points.is_empty() {
        let mut point = points.inside(SEQUENCE)?;
        if let Some(name) = point.optional(wrapper(0))? {
            let mut places = Der::new(name).inside(wrapper(0))?;
            while places.next_is(field(6)) {
                places.any()?;
            }
        }
    }
    Some(())
}

/// Checks the form of what is not used.
fn authority_access(mut value: Der<'_>) -> Option<()> {
    let mut places = value.inside(SEQUENCE)?;
    while !places.is_empty() {
        let mut place = places.inside(SEQUENCE)?;
        place.content(OBJECT_IDENTIFIER)?;
        place.optional(field(6))?;
    }
    Some(())
}
