//! The URLs that members are reached at.
//!
//! Member ids are hashes of URL texts, so the text has to stay what etcd would print: the given one with the
//! scheme in lower case. The `url` crate's type is of no use here, because it drops default ports, lower-cases
//! hosts and appends a slash, and each of these would give the member another id.

use std::fmt;

/// An address of etcd's kind: `http://host:port`, `https://host:port`, `unix://path` or `unixs://path`.
///
/// The path of a Unix socket is all that follows the slashes: `unix:///run/x` is `/run/x`, `unix://x` and `unix://h:1` are
/// the files `x` and `h:1` of the working directory. Its escapes (`%20`) are decoded; a user, a query and a fragment are
/// no part of it.
///
/// Equality and order are those of the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    text: String,
    scheme: Scheme,
    host: String,
    port: u16,
}

/// The protocol of a [`Url`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// TCP in the clear.
    Http,
    /// TLS over TCP.
    Https,
    /// A Unix socket in the clear.
    Unix,
    /// TLS over a Unix socket.
    Unixs,
}

impl Scheme {
    /// Whether connections are encrypted.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Unixs)
    }

    /// Whether the address is a path in the file system.
    pub fn is_unix(self) -> bool {
        matches!(self, Self::Unix | Self::Unixs)
    }
}

/// Why a text is not a [`Url`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The scheme is missing or not one of the four.
    #[error("URL scheme must be http, https, unix, or unixs: {0}")]
    Scheme(String),
    /// There is no port, or the host is an IPv6 address without brackets.
    #[error("URL address does not have the form \"host:port\": {0}")]
    HostPort(String),
    /// Something follows the port, be it only a slash.
    #[error("URL must not contain a path: {0}")]
    Path(String),
    /// The port is not a number up to 65535.
    #[error("parse {url:?}: invalid port {port:?} after host")]
    Port {
        /// The whole text.
        url: String,
        /// The port with its colon.
        port: String,
    },
    /// The host has a character that no host has.
    #[error("parse {url:?}: invalid character {character:?} in host name")]
    Character {
        /// The whole text.
        url: String,
        /// The first such character.
        character: String,
    },
    /// An IPv6 address is not closed.
    #[error("parse {0:?}: missing ']' in host")]
    Bracket(String),
    /// A percent sign is not followed by two hexadecimal digits, or stands for a byte that no text has.
    #[error("parse {url:?}: invalid URL escape {escape:?}")]
    Escape {
        /// The whole text.
        url: String,
        /// The percent sign and what follows.
        escape: String,
    },
}

impl Url {
    /// Parses one URL. Blanks around it are dropped.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let no_scheme = || UrlError::Scheme(text.to_owned());
        let (scheme, rest) = text.split_once(':').ok_or_else(no_scheme)?;
        let scheme = match &*scheme.to_ascii_lowercase() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "unix" => Scheme::Unix,
            "unixs" => Scheme::Unixs,
            _ => return Err(no_scheme()),
        };
        let (host, port) = if scheme.is_unix() {
            (socket_path(text, rest)?, 0)
        } else {
            let (host, port) = split_authority(text, rest.strip_prefix("//").ok_or_else(no_scheme)?)?;
            (host.to_owned(), port)
        };
        let text = format!("{}{}", scheme, &text[scheme.as_str().len()..]);
        Ok(Self { text, scheme, host, port })
    }

    /// Parses a comma-separated list. Sorted by text, each URL once, as etcd does it.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, UrlError> {
        let mut urls = text.split(',').map(Self::parse).collect::<Result<Vec<_>, _>>()?;
        urls.sort();
        urls.dedup();
        Ok(urls)
    }

    /// The text from which member ids are derived.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The protocol.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host without brackets; for Unix sockets the path. Either may be empty.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 if none was written behind the colon, and for Unix sockets.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` with brackets around IPv6 addresses; for Unix sockets the path. This is what etcd logs as
    /// a listener's address.
    pub fn address(&self) -> String {
        match self.scheme {
            Scheme::Unix | Scheme::Unixs => self.host.clone(),
            _ if self.host.contains(':') => format!("[{}]:{}", self.host, self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// The same URL with another host.
    pub fn with_host(&self, host: &str) -> Self {
        let text = format!("{}://{host}:{}", self.scheme, self.port);
        Self { text, scheme: self.scheme, host: host.to_owned(), port: self.port }
    }
}

/// Splits what follows `://` into host and port, erring for anything behind them.
fn split_authority<'a>(url: &str, rest: &'a str) -> Result<(&'a str, u16), UrlError> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some(character) =
        authority.chars().find(|c| c.is_whitespace() || c.is_control() || "<>\"".contains(*c))
    {
        return Err(UrlError::Character { url: url.to_owned(), character: character.to_string() });
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').ok_or_else(|| UrlError::Bracket(url.to_owned()))?,
        None => authority.split_at(authority.rfind(':').unwrap_or(authority.len())),
    };
    let no_host_port = || UrlError::HostPort(url.to_owned());
    let digits = port.strip_prefix(':').ok_or_else(no_host_port)?;
    if !authority.starts_with('[') && host.contains(':') {
        return Err(no_host_port());
    }
    let invalid_port = || UrlError::Port { url: url.to_owned(), port: port.to_owned() };
    if !digits.chars().all(|c| c.is_ascii_digit()) {
        return Err(invalid_port());
    }
    let port = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| invalid_port())? };
    if behind.starts_with('/') {
        return Err(UrlError::Path(url.to_owned()));
    }
    Ok((host, port))
}

/// The path of a Unix socket, from what follows the scheme and its colon. It is empty if there are no slashes, as in etcd.
fn socket_path(url: &str, rest: &str) -> Result<String, UrlError> {
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None if rest.starts_with('/') => ("", rest),
        None => ("", ""),
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if let Some(colon) = host.rfind(':')
        && !host[colon + 1..].chars().all(|c| c.is_ascii_digit())
    {
        return Err(UrlError::Port { url: url.to_owned(), port: host[colon..].to_owned() });
    }
    Ok(host.to_owned() + &unescaped(url, path)?)
}

/// A text with its escapes decoded.
fn unescaped(url: &str, text: &str) -> Result<String, UrlError> {
    let invalid = |escape: &str| {
        let escape = escape.chars().take(3).collect();
        UrlError::Escape { url: url.to_owned(), escape }
    };
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| invalid(&format!("%{part}")))?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| invalid(&text[text.find('%').unwrap_or_default()..]))
}

impl Scheme {
    /// Its name in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Unix => "unix",
            Self::Unixs => "unixs",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The quoted text, so that a slice of URLs prints as a JSON array of strings.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_stays_what_it_was() {
        fn check(given: &str, text: &str, host: &str, port: u16) {
            let url = Url::parse(given).unwrap();
            assert_eq!((url.as_str(), url.host(), url.port()), (text, host, port));
        }
        check("http://localhost:2380", "http://localhost:2380", "localhost", 2380);
        check(" http://127.0.0.1:80 ", "http://127.0.0.1:80", "127.0.0.1", 80);
        check("HTTPS://Node-1.Example:443", "https://Node-1.Example:443", "Node-1.Example", 443);
        check("http://[::1]:2379", "http://[::1]:2379", "::1", 2379);
        check("http://:2379", "http://:2379", "", 2379);
        check("http://h:", "http://h:", "h", 0);
        check("http://h:1?x", "http://h:1?x", "h", 1);
        check("http://user@h:1", "http://user@h:1", "h", 1);
        check("unix:///run/etcd.sock", "unix:///run/etcd.sock", "/run/etcd.sock", 0);
        check("unix://localhost:1", "unix://localhost:1", "localhost:1", 0);
        check("UNIXS:///run/a%20b?x#y", "unixs:///run/a%20b?x#y", "/run/a b", 0);
        check("unix:/run/x", "unix:/run/x", "/run/x", 0);
        check("unix://x", "unix://x", "x", 0);
        check("unix://x/y:z", "unix://x/y:z", "x/y:z", 0);
        check("unix://@x", "unix://@x", "x", 0);
        check("unix://", "unix://", "", 0);
        check("unix:x", "unix:x", "", 0);
    }

    #[test]
    fn errors_read_as_in_etcd() {
        fn check(text: &str, error: &str) {
            assert_eq!(Url::parse(text).unwrap_err().to_string(), error);
        }
        check("foo", "URL scheme must be http, https, unix, or unixs: foo");
        check("", "URL scheme must be http, https, unix, or unixs: ");
        check("ftp://h:1", "URL scheme must be http, https, unix, or unixs: ftp://h:1");
        check("http://h", "URL address does not have the form \"host:port\": http://h");
        check("http://::1:80", "URL address does not have the form \"host:port\": http://::1:80");
        check("http://h:1/", "URL must not contain a path: http://h:1/");
        check("http://h:abc", "parse \"http://h:abc\": invalid port \":abc\" after host");
        check("http://h:65536", "parse \"http://h:65536\": invalid port \":65536\" after host");
        check("http://[::1:1", "parse \"http://[::1:1\": missing ']' in host");
        check("unix://h:abc", "parse \"unix://h:abc\": invalid port \":abc\" after host");
        check("unix:///a%zzb", "parse \"unix:///a%zzb\": invalid URL escape \"%zz\"");
        check("unix:///a%2", "parse \"unix:///a%2\": invalid URL escape \"%2\"");
        check("unix:///a%ff%", "parse \"unix:///a%ff%\": invalid URL escape \"%\"");
        check("http:h:1", "URL scheme must be http, https, unix, or unixs: http:h:1");
        check("http://a b:1", "parse \"http://a b:1\": invalid character \" \" in host name");
    }

    #[test]
    fn lists_are_sorted_and_without_duplicates() {
        let urls = Url::parse_list("http://b:1, http://a:2,http://b:1").unwrap();
        assert_eq!(format!("{urls:?}"), r#"["http://a:2", "http://b:1"]"#);
        assert!(Url::parse_list("http://a:1,").is_err());
    }

    #[test]
    fn addresses_contain_host_and_port() {
        fn check(url: &str, address: &str) {
            assert_eq!(Url::parse(url).unwrap().address(), address);
        }
        check("http://h:1", "h:1");
        check("https://[::1]:2", "[::1]:2");
        check("unix:///a/b", "/a/b");
    }
}
