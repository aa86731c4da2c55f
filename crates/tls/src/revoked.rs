//! Certificates that their authority has taken back.

use std::collections::HashSet;
use std::path::Path;

use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::error::Error;
use crate::files::{pem_error, read};
use crate::identity::without_zeros;

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
        let mut n_lists = 0;
        for list in CertificateRevocationListDer::pem_slice_iter(&bytes) {
            revoked.add(path, &list.map_err(|error| pem_error(path, &error))?)?;
            n_lists += 1;
        }
        match n_lists {
            // To read another file as an empty list would accept every certificate.
            0 => Err(Error::RevocationList { path: path.into(), fault: "no section is X509 CRL".to_owned() }),
            _ => Ok(revoked),
        }
    }

    fn add(&mut self, path: &Path, der: &[u8]) -> Result<(), Error> {
        let error = |fault: String| Error::RevocationList { path: path.into(), fault };
        let (rest, list) =
            CertificateRevocationList::from_der(der).map_err(|fault| error(fault.to_string()))?;
        if !rest.is_empty() {
            return Err(error("something follows the list".to_owned()));
        }
        let serials = list.iter_revoked_certificates().map(|it| without_zeros(it.raw_serial()).into());
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
