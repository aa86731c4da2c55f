//! Founders by SRV records, in the manner of etcd's `srv.GetCluster`: the record with one of this member's own addresses
//! is this member, all others get numbers for names.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};

use ferretcd_membership::{Scheme, Url, UrlError, parse_initial_cluster};
use tracing::{info, warn};

use crate::Members;
use crate::SrvRecords;
use crate::dns::{Dns, LookupError, Srv};

/// Founders that the name service does not have. The texts are etcd's.
#[derive(Debug, thiserror::Error)]
pub enum SrvError {
    /// An advertised URL has no address.
    #[error("failed to resolve {url} ({source})")]
    Advertised { url: Url, source: io::Error },
    /// There are no records.
    #[error("error querying DNS SRV records for _{service} {source}")]
    Lookup { service: String, source: LookupError },
    /// The only records have targets without an address.
    #[error("error querying DNS SRV records for _{service} lookup {target}: {source}")]
    Target { service: String, target: String, source: io::Error },
    /// The only record is this member's, which advertises another scheme.
    #[error(
        "error querying DNS SRV records for _{service} bootstrap at {found} from DNS for {service} has scheme mismatch \
         with expected peer {advertised}"
    )]
    Mismatch { service: String, found: String, advertised: Url },
    /// Neither service has founders.
    #[error("{0}\n{1}")]
    Both(Box<SrvError>, Box<SrvError>),
    /// The records name other members, and not this one.
    #[error("cannot find local etcd member {0:?} in SRV records")]
    Unlisted(String),
    /// A target whose name can't be part of a URL.
    #[error("{0}")]
    Url(#[from] UrlError),
}

/// The addresses of a host, from the system. Blocks.
pub(super) fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// Looks founders up.
pub(super) struct Finder<'a> {
    pub(super) dns: &'a Dns,
    pub(super) addresses: &'a dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>>,
}

impl Finder<'_> {
    /// The peer URLs of all founders, this member's under `name`.
    pub(super) fn members(
        &self,
        name: &str,
        advertised: &[Url],
        records: &SrvRecords,
    ) -> Result<Members, SrvError> {
        let find = |scheme| {
            let service = records.service(scheme);
            let found = self.service(scheme, &service, name, advertised, records);
            log(&service, scheme, name, advertised, records, &found);
            found
        };
        let founders = match (find(Scheme::Https), find(Scheme::Http)) {
            (Ok(encrypted), Ok(plain)) => [encrypted, plain].concat(),
            (Ok(found), Err(error)) | (Err(error), Ok(found)) => {
                warn!(%error, "failed to resolve during SRV discovery");
                found
            }
            (Err(encrypted), Err(plain)) => return Err(SrvError::Both(encrypted.into(), plain.into())),
        };
        for node in &founders {
            info!(node, "got bootstrap from DNS for etcd-server");
        }
        let members = parse_initial_cluster(&founders.join(","))?;
        if members.contains_key(name) { Ok(members) } else { Err(SrvError::Unlisted(name.to_owned())) }
    }

    /// The founders that one service names, as `name=url`; never none.
    fn service(
        &self,
        scheme: Scheme,
        service: &str,
        name: &str,
        advertised: &[Url],
        records: &SrvRecords,
    ) -> Result<Vec<String>, SrvError> {
        let own = self.own_addresses(advertised)?;
        let found = self.dns.srv(&format!("_{service}._tcp.{}", records.domain));
        let found = found.map_err(|source| SrvError::Lookup { service: service.to_owned(), source })?;
        let mut founders = Vec::new();
        let mut fault = None;
        let mut n_others = 0;
        for Srv { target, port, .. } in found {
            let addresses = match (self.addresses)(&target, port) {
                Ok(addresses) => addresses,
                Err(source) => {
                    // As in etcd. Other members may resolve it, and found another cluster than this one.
                    warn!("srv-target" = target, error = %source, "leaving out a member of the SRV records that has no address");
                    fault = Some(SrvError::Target { service: service.to_owned(), target, source });
                    continue;
                }
            };
            // The dot says that the name is complete. In a URL it would make another name of it.
            let url = format!("{scheme}://{}:{port}", target.trim_end_matches('.'));
            match own.iter().find(|(address, _)| addresses.contains(address)) {
                Some((_, advertised)) if advertised.scheme() != scheme => {
                    let (service, advertised) = (service.to_owned(), (*advertised).clone());
                    fault = Some(SrvError::Mismatch { service, found: url, advertised });
                }
                Some(_) => founders.push(format!("{name}={url}")),
                None => {
                    founders.push(format!("{n_others}={url}"));
                    n_others += 1;
                }
            }
        }
        match fault {
            Some(fault) if founders.is_empty() => Err(fault),
            _ => Ok(founders),
        }
    }

    /// Where the advertised URLs lead to.
    fn own_addresses<'a>(&self, advertised: &'a [Url]) -> Result<Vec<(SocketAddr, &'a Url)>, SrvError> {
        let mut own = Vec::new();
        for url in advertised {
            let found = (self.addresses)(url.host(), url.port());
            let found = found.map_err(|source| SrvError::Advertised { url: url.clone(), source })?;
            own.extend(found.into_iter().map(|address| (address, url)));
        }
        Ok(own)
    }
}

impl SrvRecords {
    /// The service that lists members with URLs of this scheme.
    fn service(&self, scheme: Scheme) -> String {
        let end =
            if self.service_name.is_empty() { String::new() } else { format!("-{}", self.service_name) };
        let encrypted = if scheme.is_tls() { "-ssl" } else { "" };
        format!("etcd-server{encrypted}{end}")
    }
}

fn log(
    service: &str,
    scheme: Scheme,
    name: &str,
    advertised: &[Url],
    records: &SrvRecords,
    found: &Result<Vec<String>, SrvError>,
) {
    let advertised: Vec<_> = advertised.iter().map(Url::as_str).collect();
    let kind = if scheme.is_tls() { "etcd-server-ssl" } else { "etcd-server" };
    let (none, error) = (Vec::new(), found.as_ref().err().map(tracing::field::display));
    info!(
        "service-scheme" = %scheme,
        "service-name" = service,
        "server-name" = name,
        "discovery-srv" = records.domain,
        "advertise-peer-urls[]" = ?advertised,
        "found-cluster[]" = ?found.as_ref().unwrap_or(&none),
        error,
        "get cluster for {kind} SRV"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::name_server::{record, serve};
    use crate::dns::tests::dns;

    /// Hosts are `h1.example` and so on at the addresses 10.0.0.1 and so on.
    fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let number =
            host.trim_end_matches('.').strip_prefix('h').and_then(|rest| rest.strip_suffix(".example"));
        let number: u8 = number.and_then(|number| number.parse().ok()).ok_or(io::ErrorKind::NotFound)?;
        Ok(vec![SocketAddr::from(([10, 0, 0, number], port))])
    }

    /// The cluster of a member called `a` from `service target port` lines.
    fn members(records: &[&str], advertised: &str, service_name: &str) -> Result<String, String> {
        let records = records.iter().map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            record(&format!("_{}._tcp.example", words[0]), words[1], words[2].parse().unwrap())
        });
        let server = serve(records.collect(), false);
        let finder = Finder { dns: &dns(server), addresses: &addresses };
        let advertised = Url::parse_list(advertised).unwrap();
        let settings = SrvRecords { domain: "example".to_owned(), service_name: service_name.to_owned() };
        let found = finder.members("a", &advertised, &settings);
        let shown = found.map(|members| {
            let urls =
                members.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}")));
            urls.collect::<Vec<_>>().join(",")
        });
        shown.map_err(|error| error.to_string().replace(&server.to_string(), "SERVER"))
    }

    #[test]
    fn the_local_member_is_found_by_its_addresses() {
        let check = |records: &[&str], advertised, name, expected: &str| {
            assert_eq!(members(records, advertised, name).as_deref(), Ok(expected), "{records:?}");
        };
        let plain =
            ["etcd-server h1.example 2380", "etcd-server h2.example 2380", "etcd-server h3.example 2380"];
        let expected = "0=http://h1.example:2380,1=http://h3.example:2380,a=http://h2.example:2380";
        check(&plain, "http://h2.example:2380", "", expected);
        let encrypted = ["etcd-server-ssl h1.example 1", "etcd-server-ssl h2.example 1"];
        check(&encrypted, "https://h1.example:1", "", "0=https://h2.example:1,a=https://h1.example:1");
        let named =
            ["etcd-server-x h1.example 1", "etcd-server h2.example 1", "etcd-server-ssl-x h4.example 1"];
        check(&named, "http://h1.example:1", "x", "0=https://h4.example:1,a=http://h1.example:1");
        // Another port is another member; targets without an address are left out.
        let more = ["etcd-server h1.example 1", "etcd-server h1.example 2", "etcd-server lost.example 1"];
        check(&more, "http://h1.example:2", "", "0=http://h1.example:1,a=http://h1.example:2");
        let two = ["etcd-server h1.example 1", "etcd-server h1.example 2"];
        check(
            &two,
            "http://h1.example:2,http://h1.example:1",
            "",
            "a=http://h1.example:1,a=http://h1.example:2",
        );
    }

    #[test]
    fn missing_founders_are_errors() {
        let check = |records: &[&str], advertised, expected: &str| {
            assert_eq!(members(records, advertised, "").unwrap_err(), expected, "{records:?}");
        };
        let none = "error querying DNS SRV records for _etcd-server-ssl lookup _etcd-server-ssl._tcp.example on SERVER: \
                    no such host";
        check(&[], "http://h1.example:1", &format!("{none}\n{}", none.replace("server-ssl", "server")));
        check(
            &["etcd-server h2.example 1"],
            "http://h1.example:1",
            "cannot find local etcd member \"a\" in SRV records",
        );
        check(
            &["etcd-server h1.example 1"],
            "https://h1.example:1",
            &format!(
                "{none}\nerror querying DNS SRV records for _etcd-server bootstrap at http://h1.example:1 from DNS for \
                 etcd-server has scheme mismatch with expected peer https://h1.example:1"
            ),
        );
        check(
            &["etcd-server lost.example 1"],
            "http://h1.example:1",
            &format!(
                "{none}\nerror querying DNS SRV records for _etcd-server lookup lost.example.: entity not found"
            ),
        );
        let lost = "failed to resolve http://lost.example:1 (entity not found)";
        check(&["etcd-server h1.example 1"], "http://lost.example:1", &format!("{lost}\n{lost}"));
    }
}
