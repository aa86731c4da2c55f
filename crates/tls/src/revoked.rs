//! Certificates that their authority has taken back.

use std::collections::HashSet;
use std::path::Path;

use crate::error::Error;
use crate::files::read;
use crate::pem::sections;
use crate::x509::revoked_serials;

/// The numbers on a list of revoked certificates. As in etcd neither the list's issuer nor its age matters, and
/// its signature is not checked: write access to the file suffices.
#[derive(Debug, Default)]
pub(crate) struct Revoked(HashSet<Box<[u8]>>);

impl Revoked {
    pub(crate) fn load(path: &Path) -> Result<Self, Error> {
        let bytes = read(path)?;
        let mut revoked = Self::default();
        if !is_pem(&bytes) {
            revoked.add(path, &bytes)?;
            return Ok(revoked);
        }
        let lists: Vec<_> = sections(&bytes).into_iter().filter(|it| it.label == "X509 CRL").collect();
        if lists.is_empty() {
            // To read another file as an empty list would accept every certificate.
            return Err(Error::RevocationList {
                path: path.into(),
                fault: "no section is X509 CRL".to_owned(),
            });
        }
        for list in lists {
            revoked.add(path, &list.bytes)?;
        }
        Ok(revoked)
    }

    fn add(&mut self, path: &Path, der: &[u8]) -> Result<(), Error> {
        let serials = revoked_serials(der);
        let serials =
            serials.map_err(|fault| Error::RevocationList { path: path.into(), fault: fault.to_string() })?;
        self.0.extend(serials);
        Ok(())
    }

    pub(crate) fn has(&self, serial: &[u8]) -> bool {
        self.0.contains(serial)
    }
}

fn is_pem(bytes: &[u8]) -> bool {
    // A list in DER is a sequence, which begins with this byte.
    bytes.first() != Some(&0x30) && bytes.windows(11).any(|window| window == b"-----BEGIN ")
}
