//! The alternative names of a subject.

use super::der::{Der, SEQUENCE, field};
use super::fault::Malformed;

const EMAIL: u8 = field(1);
const HOST: u8 = field(2);
const URI: u8 = field(6);
const ADDRESS: u8 = field(7);

/// The names of a subject beside that in the certificate itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AlternativeNames {
    /// As they are encoded.
    pub(super) der: Box<[u8]>,
    pub(super) hosts: Vec<String>,
    /// Of 4 or 16 bytes.
    pub(super) addresses: Vec<Box<[u8]>>,
    pub(super) emails: Vec<String>,
    pub(super) uris: Vec<String>,
}

impl AlternativeNames {
    pub(super) fn read(der: &[u8]) -> Result<Self, Malformed> {
        let mut read = Self { der: der.into(), ..Self::default() };
        let list = Der::new(der).inside(SEQUENCE);
        let mut list = list.ok_or(Malformed::Part("invalid subject alternative names"))?;
        while !list.is_empty() {
            let (kind, name) = list.any().ok_or(Malformed::Part("invalid subject alternative name"))?;
            let bytes = name.data();
            match kind {
                EMAIL => {
                    read.emails.push(ascii(bytes).ok_or(Malformed::Part("SAN rfc822Name is malformed"))?);
                }
                HOST => read.hosts.push(ascii(bytes).ok_or(Malformed::Part("SAN dNSName is malformed"))?),
                URI => {
                    let uri = ascii(bytes).filter(|uri| !uri.chars().any(|it| it.is_ascii_control()));
                    read.uris.push(uri.ok_or(Malformed::Part("SAN uniformResourceIdentifier is malformed"))?);
                }
                ADDRESS if matches!(bytes.len(), 4 | 16) => read.addresses.push(bytes.into()),
                ADDRESS => return Err(Malformed::Part("cannot parse IP address of this length")),
                _ => {}
            }
        }
        Ok(read)
    }

    /// Whether it has a name of a kind that is known.
    pub(super) fn has_any(&self) -> bool {
        !(self.hosts.is_empty()
            && self.emails.is_empty()
            && self.addresses.is_empty()
            && self.uris.is_empty())
    }
}

/// Bytes as text if they are all ASCII.
pub(super) fn ascii(bytes: &[u8]) -> Option<String> {
    bytes.is_ascii().then(|| String::from_utf8_lossy(bytes).into_owned())
}
