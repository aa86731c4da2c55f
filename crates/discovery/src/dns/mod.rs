//! SRV records by DNS, which the system's resolver does not look up for programs.
//!
//! A resolver in the manner of the one in Go's library, which etcd uses: servers, search list and times of
//! `/etc/resolv.conf`, datagrams first, a stream for what does not fit into one.

#[cfg(test)]
pub(super) mod name_server;
mod query;

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use simple_dns::RCODE;

pub(super) use self::query::Srv;
use self::query::{DATAGRAM_BYTES_MAX, Query, Response};

/// The port of name servers.
const PORT: u16 = 53;

/// A name without records.
#[derive(Debug)]
pub struct LookupError {
    name: String,
    /// The server of the last query.
    server: Option<SocketAddr>,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    NoSuchHost,
    Timeout,
    Misbehaving,
    Io(io::Error),
}

impl std::error::Error for LookupError {}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lookup {}", self.name)?;
        if let Some(server) = self.server {
            write!(f, " on {server}")?;
        }
        match &self.fault {
            Fault::NoSuchHost => f.write_str(": no such host"),
            Fault::Timeout => f.write_str(": i/o timeout"),
            Fault::Misbehaving => f.write_str(": server misbehaving"),
            Fault::Io(error) => write!(f, ": {error}"),
        }
    }
}

/// The name servers, and how to query them.
#[derive(Clone, Debug)]
pub(super) struct Dns {
    servers: Vec<SocketAddr>,
    /// Domains that are appended to a name.
    search: Vec<String>,
    /// A name with as many dots is first tried as it is.
    dots: usize,
    timeout: Duration,
    attempts: u32,
}

impl Dns {
    /// As the system is configured; a server on this machine if it is not.
    pub(super) fn system() -> Self {
        let text = std::fs::read("/etc/resolv.conf").unwrap_or_default();
        // Lines that can't be parsed are skipped, as other resolvers do.
        let (config, _) = resolv_conf::Config::parse_with_errors(&text);
        let mut servers: Vec<_> =
            config.nameservers.iter().map(|server| SocketAddr::new(IpAddr::from(server), PORT)).collect();
        if servers.is_empty() {
            let local = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
            servers = local.map(|server| SocketAddr::new(server, PORT)).to_vec();
        }
        Self {
            servers,
            search: config.get_last_search_or_domain().cloned().collect(),
            dots: usize::try_from(config.ndots).unwrap_or(usize::MAX),
            timeout: Duration::from_secs(u64::from(config.timeout.max(1))),
            attempts: config.attempts.max(1),
        }
    }

    /// The records of a name, best first; never none. Blocks.
    pub(super) fn srv(&self, name: &str) -> Result<Vec<Srv>, LookupError> {
        let mut last = (None, Fault::NoSuchHost);
        for candidate in self.candidates(name) {
            match self.srv_of(&candidate) {
                Ok(mut records) => {
                    records.sort();
                    return Ok(records);
                }
                Err(error) => last = error,
            }
        }
        Err(LookupError { name: name.to_owned(), server: last.0, fault: last.1 })
    }

    /// The complete names, without a dot at the end, that may be meant.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(complete) = name.strip_suffix('.') {
            return vec![complete.to_owned()];
        }
        let longer = self.search.iter().map(|end| format!("{name}.{}", end.trim_end_matches('.')));
        let mut names: Vec<String> = longer.collect();
        let place = if name.matches('.').count() >= self.dots { 0 } else { names.len() };
        names.insert(place, name.to_owned());
        names
    }

    fn srv_of(&self, name: &str) -> Result<Vec<Srv>, (Option<SocketAddr>, Fault)> {
        let Some(query) = Query::new(name) else { return Err((None, Fault::NoSuchHost)) };
        let mut last = (None, Fault::NoSuchHost);
        for _ in 0..self.attempts {
            for server in &self.servers {
                let fault = match self.query(*server, &query) {
                    Ok(Response { code: RCODE::NoError, records, .. }) if !records.is_empty() => {
                        return Ok(records);
                    }
                    // The response is authoritative; other servers would give the same.
                    Ok(Response { code: RCODE::NoError | RCODE::NameError, .. }) => {
                        return Err((Some(*server), Fault::NoSuchHost));
                    }
                    Ok(_) => Fault::Misbehaving,
                    Err(error) if is_timeout(&error) => Fault::Timeout,
                    Err(error) => Fault::Io(error),
                };
                last = (Some(*server), fault);
            }
        }
        Err(last)
    }

    fn query(&self, server: SocketAddr, query: &Query) -> io::Result<Response> {
        let response = self.query_by_datagram(server, query)?;
        if response.is_cut { self.query_by_stream(server, query) } else { Ok(response) }
    }

    fn query_by_datagram(&self, server: SocketAddr, query: &Query) -> io::Result<Response> {
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        // Each query has a random port, and receives only from its server.
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(server)?;
        socket.send(&query.bytes)?;
        let deadline = Instant::now() + self.timeout;
        let mut bytes = [0; DATAGRAM_BYTES_MAX as usize];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            socket.set_read_timeout(Some(left))?;
            let received = socket.recv(&mut bytes)?;
            // A datagram that is no response to this query may be forged; the true one may still come.
            if let Some(response) = query.response(&bytes[..received]) {
                return Ok(response);
            }
        }
    }

    fn query_by_stream(&self, server: SocketAddr, query: &Query) -> io::Result<Response> {
        let mut stream = TcpStream::connect_timeout(&server, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        let length = u16::try_from(query.bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        stream.write_all(&[&length.to_be_bytes(), &*query.bytes].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut bytes)?;
        query.response(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

#[cfg(test)]
pub(super) mod tests {
    use super::name_server::{record, serve};
    use super::*;

    /// Queries one server, and waits for it for a moment.
    pub(crate) fn dns(server: SocketAddr) -> Dns {
        Dns {
            servers: vec![server],
            search: vec!["more.example.".to_owned()],
            dots: 1,
            timeout: Duration::from_secs(5),
            attempts: 1,
        }
    }

    fn targets(server: SocketAddr, name: &str) -> Result<Vec<String>, String> {
        let found = dns(server).srv(name).map_err(|error| error.to_string())?;
        Ok(found.iter().map(|srv| format!("{}:{}", srv.target, srv.port)).collect())
    }

    #[test]
    fn records_come_by_priority() {
        let records = vec![record("_a._tcp.x", "two", 22), record("_a._tcp.x", "one.two", 11)];
        let many = (0..200).map(|port| record("_many._tcp.x", &format!("host{port}.example"), 10 * port));
        let records: Vec<_> = records.into_iter().chain(many).collect();
        for is_cut in [false, true] {
            let server = serve(records.clone(), is_cut);
            assert_eq!(targets(server, "_a._tcp.x").unwrap(), ["one.two.:11", "two.:22"]);
            assert_eq!(targets(server, "_a._tcp.x.").unwrap(), ["one.two.:11", "two.:22"]);
            if is_cut {
                assert_eq!(targets(server, "_many._tcp.x").unwrap().len(), 200);
            }
        }
    }

    #[test]
    fn names_may_be_cut_short() {
        let server = serve(vec![record("_a._tcp.x.more.example", "h", 1)], false);
        assert_eq!(targets(server, "_a._tcp.x").unwrap(), ["h.:1"]);
        let check = |dots, name: &str, expected: &[&str]| {
            assert_eq!(Dns { dots, ..dns(server) }.candidates(name), expected);
        };
        check(1, "_a._tcp.x", &["_a._tcp.x", "_a._tcp.x.more.example"]);
        check(5, "_a._tcp.x", &["_a._tcp.x.more.example", "_a._tcp.x"]);
        check(5, "_a._tcp.x.", &["_a._tcp.x"]);
    }

    #[test]
    fn errors_name_the_server() {
        let server = serve(Vec::new(), false);
        let error = |name| targets(server, name).unwrap_err();
        assert_eq!(error("_a._tcp.x"), format!("lookup _a._tcp.x on {server}: no such host"));
        assert_eq!(error("broken.x."), format!("lookup broken.x. on {server}: server misbehaving"));
        let long = format!("{}.", "x".repeat(64));
        assert_eq!(error(&long), format!("lookup {long}: no such host"));
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let silent = silent.local_addr().map(|server| (silent, server)).unwrap();
        let short = Dns { timeout: Duration::from_millis(20), ..dns(silent.1) };
        let error = short.srv("_a._tcp.x").unwrap_err().to_string();
        assert_eq!(error, format!("lookup _a._tcp.x on {}: i/o timeout", silent.1));
    }
}
