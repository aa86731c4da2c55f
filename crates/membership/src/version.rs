//! The version that a cluster runs at: the lowest of its members', and it only rises.

use std::fmt;
use std::str::FromStr;

/// A version as far as it decides what a cluster can do; its text is `X.Y.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The first number.
    pub major: u64,
    /// The second number.
    pub minor: u64,
}

/// A text is no version of the form `X.Y.Z`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read {0:?} as a version")]
pub struct VersionError(String);

impl Version {
    /// The version of a cluster until all of its members have reported theirs.
    pub const MIN: Self = Self { major: 3, minor: 0 };
}

/// The version that a cluster should change to, if any. `servers` are the versions of all members' programs;
/// `None` for each that has not reported it.
pub fn decide_version(
    current: Option<Version>,
    servers: impl IntoIterator<Item = Option<Version>>,
) -> Option<Version> {
    let lowest = servers
        .into_iter()
        .try_fold(None, |lowest: Option<Version>, server| {
            server.map(|server| Some(lowest.map_or(server, |lowest| lowest.min(server))))
        })
        .flatten();
    match (current, lowest) {
        (None, lowest) => Some(lowest.unwrap_or(Version::MIN)),
        (Some(current), Some(lowest)) => {
            (current < lowest && current.major == lowest.major).then_some(lowest)
        }
        (Some(_), None) => None,
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `X.Y.Z`; what follows the numbers behind a `-` or `+` does not matter.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError(text.to_owned());
        let numbers = text.split(['-', '+']).next().unwrap_or_default();
        let numbers: Vec<u64> =
            numbers.split('.').map(|number| number.parse().map_err(|_| error())).collect::<Result<_, _>>()?;
        match numbers[..] {
            [major, minor, _] => Ok(Self { major, minor }),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.0", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed_from_text() {
        for (text, expected) in [
            ("3.7.1", Some("3.7.0")),
            ("3.6.0-rc.1", Some("3.6.0")),
            ("3.5.9+git", Some("3.5.0")),
            ("3.7", None),
            ("3.7.x", None),
            ("", None),
            ("not_decided", None),
        ] {
            let version = text.parse::<Version>().ok().map(|version| version.to_string());
            assert_eq!(version.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_cluster_version_is_decided_as_in_etcd() {
        for (current, servers, expected) in [
            (None, &["3.7.1"][..], Some("3.7.0")),
            (None, &["3.7.1", "3.6.2", "3.8.0"], Some("3.6.0")),
            (None, &["3.7.1", "?"], Some("3.0.0")),
            (None, &[], Some("3.0.0")),
            (Some("3.0.0"), &["3.7.1", "?"], None),
            (Some("3.0.0"), &["3.7.1", "3.7.1"], Some("3.7.0")),
            (Some("3.7.0"), &["3.7.1"], None),
            (Some("3.7.0"), &["3.7.1", "3.6.1"], None),
            (Some("3.7.0"), &["4.0.0"], None),
        ] {
            let servers = servers.iter().map(|text| text.parse().ok());
            let current = current.map(|text| text.parse().expect("a version"));
            let decided = decide_version(current, servers).map(|version| version.to_string());
            assert_eq!(decided.as_deref(), expected, "{current:?}");
        }
    }
}
