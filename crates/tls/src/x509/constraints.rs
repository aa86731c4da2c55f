//! Names for which an authority may sign, and others for which it may not.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::alternative::{AlternativeNames, ascii};
use super::der::{Der, SEQUENCE, field, wrapper};
use super::email::{self, Mailbox, is_domain};
use super::fault::Malformed;
use super::uri;

const EMAIL: u8 = field(1);
const HOST: u8 = field(2);
const URI: u8 = field(6);
const ADDRESS: u8 = field(7);

/// The constraints of one authority.
#[derive(Clone, Debug, Default)]
pub(super) struct NameConstraints {
    permitted: Trees,
    excluded: Trees,
    /// There are some for other kinds of names.
    pub(super) has_unknown: bool,
}

/// Parts of the spaces of names. One that is `None` does not count.
#[derive(Clone, Debug, Default)]
struct Trees {
    hosts: Option<Domains>,
    uris: Option<Domains>,
    email_domains: Option<Domains>,
    mailboxes: Option<HashSet<Mailbox>>,
    networks: Option<Vec<Network>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Permitted,
    Excluded,
}

/// Domains in small letters. One that begins with a dot stands for what is below it; the empty one for everything.
#[derive(Clone, Debug, Default)]
struct Domains {
    names: HashSet<String>,
    /// Names by what they are from their first dot on, one of each.
    by_parent: HashMap<String, String>,
    bytes_max: usize,
}

/// Addresses that are equal where the mask has ones, of 4 or 16 bytes.
#[derive(Clone, Debug)]
struct Network {
    address: Box<[u8]>,
    mask: Box<[u8]>,
}

impl NameConstraints {
    pub(super) fn read(value: &[u8]) -> Result<Self, Malformed> {
        const CONSTRAINTS: Malformed = Malformed::Part("invalid NameConstraints extension");
        let mut outer = Der::new(value);
        let mut fields = outer.inside(SEQUENCE).filter(|_| outer.is_empty()).ok_or(CONSTRAINTS)?;
        let permitted = fields.optional(wrapper(0)).ok_or(CONSTRAINTS)?.unwrap_or_default();
        let excluded = fields.optional(wrapper(1)).ok_or(CONSTRAINTS)?.unwrap_or_default();
        if !fields.is_empty() {
            return Err(CONSTRAINTS);
        }
        if permitted.is_empty() && excluded.is_empty() {
            return Err(Malformed::Part("empty name constraints extension"));
        }
        let mut read = Self::default();
        for (list, trees) in [(permitted, &mut read.permitted), (excluded, &mut read.excluded)] {
            let mut list = Der::new(list);
            while !list.is_empty() {
                let tree = list.inside(SEQUENCE).and_then(|mut tree| tree.any());
                let (kind, value) = tree.ok_or(CONSTRAINTS)?;
                read.has_unknown |= !trees.add(kind, value.data())?;
            }
        }
        Ok(read)
    }

    /// Checks the names of a certificate below this authority. The error says why it may not have one.
    fn check(&self, names: &AlternativeNames, parsed: &Parsed<'_>) -> Result<(), String> {
        for address in &names.addresses {
            self.judge("IP address", &address_text(address), |trees, _| trees.find_network(address))?;
        }
        for host in &names.hosts {
            if !is_domain(host) {
                return Err(format!("x509: cannot parse dnsName {host:?}"));
            }
            self.judge("DNS name", host, |trees, kind| trees.find_host(host, kind))?;
        }
        for (uri, host) in &parsed.uris {
            self.judge("URI", uri, |trees, kind| Some(trees.uris.as_ref()?.find(host, kind)))?;
        }
        for mailbox in &parsed.mailboxes {
            let text = mailbox.to_string();
            self.judge("email address", &text, |trees, kind| trees.find_mailbox(mailbox, kind))?;
        }
        Ok(())
    }

    /// `find` returns `None` if names of the kind are not constrained, else the tree that has the name, if one has.
    fn judge(
        &self,
        what: &str,
        name: &str,
        find: impl Fn(&Trees, Kind) -> Option<Option<String>>,
    ) -> Result<(), String> {
        if find(&self.permitted, Kind::Permitted) == Some(None) {
            return Err(format!("{what} {name:?} is not permitted by any constraint"));
        }
        match find(&self.excluded, Kind::Excluded) {
            Some(Some(tree)) => Err(format!("{what} {name:?} is excluded by constraint {tree:?}")),
            _ => Ok(()),
        }
    }
}

impl Trees {
    /// Adds a tree. Returns whether its kind is known.
    fn add(&mut self, kind: u8, value: &[u8]) -> Result<bool, Malformed> {
        let text = || ascii(value).ok_or(Malformed::Part("invalid constraint value"));
        let domain = |otherwise| domain(text()?).ok_or(Malformed::Part(otherwise));
        match kind {
            HOST => self.hosts.get_or_insert_default().add(&domain("failed to parse dnsName constraint")?),
            URI => {
                let domain = domain("failed to parse URI constraint")?;
                if domain.parse::<IpAddr>().is_ok() {
                    return Err(Malformed::Part("failed to parse URI constraint: cannot be IP address"));
                }
                self.uris.get_or_insert_default().add(&domain);
            }
            EMAIL if value.contains(&b'@') => {
                let mailbox = email::parse(&text()?);
                let mailbox = mailbox.ok_or(Malformed::Part("failed to parse rfc822Name constraint"))?;
                self.mailboxes.get_or_insert_default().insert(mailbox);
            }
            EMAIL => {
                let domain = domain("failed to parse rfc822Name constraint")?;
                self.email_domains.get_or_insert_default().add(&domain);
            }
            ADDRESS => self.networks.get_or_insert_default().push(Network::read(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn find_host(&self, host: &str, kind: Kind) -> Option<Option<String>> {
        Some(self.hosts.as_ref()?.find(host, kind))
    }

    fn find_mailbox(&self, mailbox: &Mailbox, kind: Kind) -> Option<Option<String>> {
        let whole = self.mailboxes.as_ref().map(|all| all.get(mailbox).map(ToString::to_string));
        let domain = self.email_domains.as_ref().map(|all| all.find(&mailbox.domain, kind));
        match (whole, domain) {
            (None, None) => None,
            (whole, domain) => Some(whole.flatten().or(domain.flatten())),
        }
    }

    /// Networks of the other length are none for an address: where there are only such, no tree has it.
    fn find_network(&self, address: &[u8]) -> Option<Option<String>> {
        Some(self.networks.as_ref()?.iter().find(|network| network.has(address)).map(ToString::to_string))
    }
}

impl Domains {
    fn add(&mut self, name: &str) {
        self.bytes_max = self.bytes_max.max(name.len());
        let name = name.to_ascii_lowercase();
        if let Some(parent) = parent(&name) {
            self.by_parent.entry(parent.to_owned()).or_insert_with(|| name.clone());
        }
        self.names.insert(name);
    }

    /// The domain that a name is, or is below. A name with `*` also meets excluded ones that it may stand for.
    fn find(&self, name: &str, kind: Kind) -> Option<String> {
        let name = name.to_ascii_lowercase();
        let bytes = name.as_bytes();
        let is_begin = |at: &usize| *at == 0 || bytes[*at] == b'.' || bytes[*at - 1] == b'.';
        let longest = bytes.len() - self.bytes_max.min(bytes.len());
        let ends = (longest..bytes.len()).filter(is_begin).map(|at| &name[at..]).chain([""]);
        let found = ends.filter_map(|end| self.names.get(end)).next();
        let sibling = || match kind {
            Kind::Excluded if name.starts_with('*') => self.by_parent.get(parent(&name)?),
            _ => None,
        };
        found.or_else(sibling).cloned()
    }
}

/// A name from its first dot on.
fn parent(name: &str) -> Option<&str> {
    name.find('.').map(|at| &name[at..])
}

impl Network {
    fn read(value: &[u8]) -> Result<Self, Malformed> {
        if !matches!(value.len(), 8 | 32) {
            return Err(Malformed::Part("IP constraint contained value of other length"));
        }
        let (address, mask) = value.split_at(value.len() / 2);
        let n_ones: u32 = mask.iter().map(|byte| byte.leading_ones()).sum();
        let n_all: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
        let mut rest = mask.iter().skip_while(|byte| **byte == 0xff).skip(1);
        if n_ones != n_all || rest.any(|byte| *byte != 0) {
            return Err(Malformed::Part("IP constraint contained invalid mask"));
        }
        Ok(Self { address: address.into(), mask: mask.into() })
    }

    /// In Go an IPv6 address that stands for one of IPv4 is only in networks of such.
    fn has(&self, address: &[u8]) -> bool {
        let equal = |((a, b), mask): ((&u8, &u8), &u8)| a & mask == b & mask;
        self.address.len() == address.len()
            && is_mapped(&self.address) == is_mapped(address)
            && self.address.iter().zip(address).zip(&self.mask).all(equal)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_ones: u32 = self.mask.iter().map(|byte| byte.leading_ones()).sum();
        write!(f, "{}/{n_ones}", address_text(&self.address))
    }
}

/// Whether an address is one of IPv6 that stands for one of IPv4.
fn is_mapped(bytes: &[u8]) -> bool {
    <[u8; 16]>::try_from(bytes).is_ok_and(|it| Ipv6Addr::from(it).to_ipv4_mapped().is_some())
}

fn address_text(bytes: &[u8]) -> String {
    let v4 = <[u8; 4]>::try_from(bytes).map(|it| Ipv4Addr::from(it).to_string());
    let v6 = || <[u8; 16]>::try_from(bytes).map(|it| IpAddr::from(it).to_canonical().to_string());
    v4.or_else(|_| v6()).unwrap_or_default()
}

/// The text if it is a domain; it may begin with a dot.
fn domain(text: String) -> Option<String> {
    let inner = text.strip_prefix('.').unwrap_or(&text);
    let is_good = is_domain(inner) && (!inner.is_empty() || text.is_empty());
    is_good.then_some(text)
}

/// The names of a certificate that have to be taken apart first.
struct Parsed<'a> {
    uris: Vec<(&'a str, String)>,
    mailboxes: Vec<Mailbox>,
}

impl<'a> Parsed<'a> {
    fn of(names: &'a AlternativeNames) -> Result<Self, String> {
        let uri = |uri: &'a String| Ok((uri.as_str(), uri::host(uri)?));
        let mailbox =
            |email: &String| email::parse(email).ok_or_else(|| format!("cannot parse rfc822Name {email:?}"));
        Ok(Self {
            uris: names.uris.iter().map(uri).collect::<Result<_, String>>()?,
            mailboxes: names.emails.iter().map(mailbox).collect::<Result<_, _>>()?,
        })
    }
}

/// What counts of a certificate here: the names that it has, and those for which it may sign.
pub(super) type Named<'a> = (Option<&'a AlternativeNames>, Option<&'a NameConstraints>);

/// Checks the names of each certificate in a chain, the authority at the end, against the authorities above it.
pub(super) fn check(chain: &[Named<'_>]) -> Result<(), String> {
    for (place, (names, _)) in chain.iter().enumerate() {
        let Some(names) = names else { continue };
        let mut above = chain[place + 1..].iter().filter_map(|(_, constraints)| *constraints).peekable();
        if above.peek().is_none() {
            continue;
        }
        let parsed = Parsed::of(names)?;
        above.try_for_each(|constraints| constraints.check(names, &parsed))?;
    }
    Ok(())
}
