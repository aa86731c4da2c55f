//! Extensions of certificates.

use super::der::{BIT_STRING, BOOLEAN, INTEGER, OCTET_STRING, field, oid, sequence, value, wrapper};

/// An extension, in DER.
pub(super) type Extension = Vec<u8>;

/// For TLS servers.
pub(super) const SERVER: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
/// For TLS clients.
pub(super) const CLIENT: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];
/// For signed code.
pub(super) const CODE: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 3];
/// For everything.
pub(super) const ANY: &[u32] = &[2, 5, 29, 37, 0];

/// Signs other certificates.
pub(super) const SIGNS_CERTIFICATES: u8 = 5;

/// One by its number.
pub(super) fn other(id: &[u32], is_critical: bool, content: &[u8]) -> Extension {
    let critical = if is_critical { value(BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    sequence(&[&oid(id), &critical, &value(OCTET_STRING, &[content])])
}

/// Whether it is that of an authority, and how many may be below.
pub(super) fn basic(is_authority: bool, path_length_max: Option<u8>) -> Extension {
    let is_authority = if is_authority { value(BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    let length = path_length_max.map(|max| value(INTEGER, &[&[max]])).unwrap_or_default();
    other(&[2, 5, 29, 19], true, &sequence(&[&is_authority, &length]))
}

/// What the key does, by the numbers of bits.
pub(super) fn key_usage(numbers: &[u8]) -> Extension {
    let byte = numbers.iter().fold(0, |byte, number| byte | 0x80 >> number);
    other(&[2, 5, 29, 15], true, &value(BIT_STRING, &[&[0, byte]]))
}

/// What it is for.
pub(super) fn usages(list: &[&[u32]]) -> Extension {
    let list: Vec<u8> = list.iter().flat_map(|usage| oid(usage)).collect();
    other(&[2, 5, 29, 37], false, &sequence(&[&list]))
}

/// The kind of a name, by its number in a GeneralName.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Email = 1,
    Host = 2,
    Uri = 6,
    Address = 7,
}

fn general_names(names: &[(Kind, &[u8])]) -> Vec<Vec<u8>> {
    names.iter().map(|(kind, name)| field(*kind as u8, name)).collect()
}

/// Alternative names.
pub(super) fn names(names: &[(Kind, &[u8])]) -> Extension {
    other(&[2, 5, 29, 17], false, &sequence(&[&general_names(names).concat()]))
}

/// Names for which an authority may sign, and those for which it may not.
pub(super) fn constraints(permitted: &[(Kind, &[u8])], excluded: &[(Kind, &[u8])]) -> Extension {
    let trees = |number, names: &[(Kind, &[u8])]| match names {
        [] => Vec::new(),
        names => {
            let trees: Vec<u8> = general_names(names).iter().flat_map(|name| sequence(&[name])).collect();
            wrapper(number, &[&trees])
        }
    };
    other(&[2, 5, 29, 30], true, &sequence(&[&trees(0, permitted), &trees(1, excluded)]))
}

/// A list of policies.
pub(super) fn policies(list: &[&[u32]]) -> Extension {
    let list: Vec<u8> = list.iter().flat_map(|policy| sequence(&[&oid(policy)])).collect();
    other(&[2, 5, 29, 32], false, &sequence(&[&list]))
}

/// After so many more certificates a policy is demanded.
pub(super) fn require_policy(after: u8) -> Extension {
    other(&[2, 5, 29, 36], true, &sequence(&[&field(0, &[after])]))
}

/// The name of a key.
pub(super) fn subject_key(id: &[u8]) -> Extension {
    other(&[2, 5, 29, 14], false, &value(OCTET_STRING, &[id]))
}

/// The name of the issuer's key.
pub(super) fn authority_key(id: &[u8]) -> Extension {
    other(&[2, 5, 29, 35], false, &sequence(&[&field(0, id)]))
}
