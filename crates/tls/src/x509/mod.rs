//! Certificates and chains by the rules of Go, whose `crypto/x509` is what etcd trusts: the same certificates are
//! accepted, and rejected with the same words. Values in DER are read by `asn1`, signatures are checked by AWS-LC.
//!
//! * [`Certificate`]: what a certificate says, well-formed, and not proved.
//! * [`Pool`]: authorities, or what the other side has sent beside its own certificate.
//! * [`Verification`]: whether an authority vouches for a certificate.

mod alternative;
mod certificate;
mod constraints;
mod der;
mod email;
mod extensions;
mod fault;
mod hosts;
mod key;
mod name;
mod policies;
mod pool;
mod signature;
mod uri;
mod verify;

#[cfg(test)]
mod tests;

pub(crate) use certificate::{Certificate, revoked_serials};
pub(crate) use fault::{ChainFault, Malformed, SignatureFault};
pub(crate) use key::KeyKind;
pub(crate) use pool::Pool;
pub(crate) use signature::{Handshake, SCHEMES};
pub(crate) use verify::{Usage, Verification};
