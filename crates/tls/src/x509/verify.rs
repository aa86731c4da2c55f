//! Ways from a certificate to an authority.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::certificate::Certificate;
use super::der::utc;
use super::fault::{ChainFault, Hint, SignatureFault};
use super::pool::Pool;
use super::{constraints, policies, signature};

/// How many signatures are checked for one certificate. Chains are some certificates long; more candidates are there to
/// keep the processor busy.
const SIGNATURE_CHECKS_MAX: usize = 100;
/// Longer serial numbers are not written out. RFC 5280 permits 20 bytes.
const DECIMAL_BYTES_MAX: usize = 64;
/// The bit of the key usage for signing certificates.
const SIGNS_CERTIFICATES: u16 = 1 << 5;

/// What a certificate has to be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    Server,
    Client,
}

/// Checks that an authority vouches for a certificate. Its key and the name of the host are left to be checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verification<'a> {
    pub(crate) authorities: &'a Pool,
    /// What the other side has sent with it, in any order.
    pub(crate) between: &'a Pool,
    pub(crate) usage: Usage,
    /// The host that it has to be for, if any.
    pub(crate) host: Option<&'a str>,
    /// In seconds of Unix time.
    pub(crate) now: i64,
}

/// From the certificate in question to an authority.
type Chain<'a> = Vec<&'a Certificate>;

/// The place of a certificate in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Last,
    Between,
    Authority,
}

impl<'a> Verification<'a> {
    pub(crate) fn check(&self, certificate: &'a Certificate) -> Result<(), ChainFault> {
        self.check_itself(certificate, Place::Last, &[])?;
        if let Some(host) = self.host {
            certificate.check_host(host)?;
        }
        let chains = match self.authorities.has(certificate) {
            true => vec![vec![certificate]],
            false => {
                let mut search =
                    Search { verification: self, n_left: SIGNATURE_CHECKS_MAX, chains: Vec::new() };
                search.grow(&mut vec![certificate])?;
                search.chains
            }
        };
        self.judge(&chains)
    }

    /// Whether one of the chains permits what is wanted.
    fn judge(&self, chains: &[Chain<'_>]) -> Result<(), ChainFault> {
        let (mut n_policy, mut n_usage, mut name) = (0, 0, None);
        for chain in chains {
            let policies: Vec<_> =
                chain.iter().map(|it| (&it.extensions.policies, it.issuer == it.subject)).collect();
            let extensions = chain.iter().map(|it| &it.extensions);
            let names: Vec<_> =
                extensions.map(|it| (it.alternative.as_ref(), it.constraints.as_ref())).collect();
            if !policies::are_valid(&policies) {
                n_policy += 1;
            } else if !self.is_for_usage(chain) {
                n_usage += 1;
            } else if let Err(fault) = constraints::check(&names) {
                name.get_or_insert(fault);
            } else {
                return Ok(());
            }
        }
        if let Some(fault) = name {
            return Err(ChainFault::Name(fault));
        }
        if n_policy == 0 {
            return Err(ChainFault::IncompatibleUsage);
        }
        let usage =
            (n_usage > 0).then(|| format!("{n_usage} candidate chains with incompatible key usage, "));
        let policy = format!("{n_policy} candidate chains with invalid policies");
        Err(ChainFault::NoValidChain(usage.unwrap_or_default() + &policy))
    }

    fn is_for_usage(&self, chain: &[&Certificate]) -> bool {
        chain.iter().map(|it| it.extensions.usages).all(|usages| match self.usage {
            _ if usages.any || usages == Default::default() => true,
            Usage::Server => usages.server,
            Usage::Client => usages.client,
        })
    }

    /// Checks what a certificate says about itself, at its place above `below`.
    fn check_itself(
        &self,
        certificate: &Certificate,
        place: Place,
        below: &[&Certificate],
    ) -> Result<(), ChainFault> {
        let extensions = &certificate.extensions;
        if extensions.has_unknown_critical {
            return Err(ChainFault::CriticalExtension);
        }
        if certificate.is_out_of_date(self.now) {
            return Err(ChainFault::Expired(self.expired(certificate)));
        }
        if place == Place::Between && extensions.basic.is_none_or(|basic| !basic.is_authority) {
            return Err(ChainFault::NotAuthorizedToSign);
        }
        let path_length_max = extensions.basic.and_then(|basic| basic.path_length_max);
        if path_length_max.is_some_and(|max| below.len().saturating_sub(1) as u64 > max) {
            return Err(ChainFault::TooManyIntermediates);
        }
        Ok(())
    }

    fn expired(&self, certificate: &Certificate) -> String {
        let (side, bound) = match self.now < certificate.not_before {
            true => ("before", certificate.not_before),
            false => ("after", certificate.not_after),
        };
        format!("current time {} is {side} {}", local_time(self.now), utc(bound))
    }
}

/// With the offset from UTC, if there is one, as in Go.
fn local_time(seconds: i64) -> String {
    let Ok(time) = Timestamp::from_second(seconds) else { return String::new() };
    let local = time.to_zoned(TimeZone::system());
    if local.offset().is_zero() { utc(seconds) } else { local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string() }
}

/// The search for all chains, as long as signatures may be checked.
struct Search<'a, 'v> {
    verification: &'v Verification<'a>,
    n_left: usize,
    chains: Vec<Chain<'a>>,
}

impl<'a> Search<'a, '_> {
    /// Finds the chains that begin with this one. The error is why there is none.
    fn grow(&mut self, chain: &mut Chain<'a>) -> Result<(), ChainFault> {
        let n_before = self.chains.len();
        let last = *chain.last().expect("it begins with a certificate");
        let (mut hint, mut fault) = (None, None);
        let Verification { authorities, between, .. } = *self.verification;
        let above = authorities.issuers(last).into_iter().map(|it| (Place::Authority, it));
        for (place, candidate) in
            above.chain(between.issuers(last).into_iter().map(|it| (Place::Between, it)))
        {
            if self.n_left == 0 {
                fault = Some(ChainFault::SignatureLimit);
                break;
            }
            self.n_left -= 1;
            if candidate.key.is_none() || chain.iter().any(|it| is_same(it, candidate)) {
                continue;
            }
            let mut note = |reason| {
                hint.get_or_insert_with(|| Hint { authority: title(candidate), fault: Box::new(reason) });
            };
            if let Err(reason) = check_signature(last, candidate) {
                note(reason.into());
                continue;
            }
            // As in Go, the reason that counts is that of the last authority that has signed.
            fault = self.verification.check_itself(candidate, place, chain).err();
            if let Some(reason) = &fault {
                note(reason.clone());
                continue;
            }
            chain.push(candidate);
            match place {
                Place::Authority => self.chains.push(chain.clone()),
                _ => fault = self.grow(chain).err(),
            }
            chain.pop();
            if fault == Some(ChainFault::SignatureLimit) {
                break;
            }
        }
        match fault {
            _ if self.chains.len() > n_before => Ok(()),
            Some(fault) => Err(fault),
            None => Err(ChainFault::UnknownAuthority(hint)),
        }
    }
}

fn check_signature(signed: &Certificate, by: &Certificate) -> Result<(), SignatureFault> {
    let is_authority = match by.extensions.basic {
        Some(basic) => basic.is_authority,
        None => by.version != 3,
    };
    let usage = by.extensions.key_usage;
    if !is_authority || (usage != 0 && usage & SIGNS_CERTIFICATES == 0) {
        return Err(SignatureFault::NoAuthority);
    }
    let key = by.key.as_ref().ok_or(SignatureFault::Unsupported)?;
    signature::check(key, signed.algorithm, signed.signed(), &signed.signature)
}

/// Whether two certificates are for the same subject and key, so that a chain with both would be a circle.
fn is_same(a: &Certificate, b: &Certificate) -> bool {
    let [names, others] = [a, b].map(|it| it.extensions.alternative.as_ref().map(|names| &names.der));
    a.subject == b.subject && a.key_info == b.key_info && names == others
}

/// What a certificate is called in a text.
fn title(certificate: &Certificate) -> String {
    let name = &certificate.name;
    match () {
        () if !name.common_name.is_empty() => name.common_name.clone(),
        () if !name.organization.is_empty() => name.organization.clone(),
        () => format!("serial:{}", decimal(&certificate.serial)),
    }
}

/// A number in decimal digits. Certificates that nothing vouches for can have numbers as long as the message, and the
/// work grows with the square: of a long one only the length is told.
fn decimal(bytes: &[u8]) -> String {
    if bytes.len() > DECIMAL_BYTES_MAX {
        return format!("({} bytes)", bytes.len());
    }
    let mut digits = vec![0_u8];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            let value = u32::from(*digit) * 256 + carry;
            *digit = (value % 10) as u8;
            carry = value / 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(decimal(bytes), expected);
        check(&[], "0");
        check(&[7], "7");
        check(&[1, 0], "256");
        check(&[0xff; 8], "18446744073709551615");
        check(&[1; 65_000], "(65000 bytes)");
    }
}
