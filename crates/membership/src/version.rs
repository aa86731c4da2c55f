//! The version that a cluster runs at: the lowest of its members'. It rises by itself, and falls only in a downgrade, by
//! one minor version.

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

/// A cluster cannot be at the version that a downgrade is to lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "lower the cluster version to {target}: a downgrade leads one minor version down, from {current} with members of \
     {lowest} or later"
)]
pub struct DowngradeError {
    target: Version,
    current: Version,
    lowest: Version,
}

impl Version {
    /// The version of a cluster until all of its members have reported theirs.
    pub const MIN: Self = Self { major: 3, minor: 0 };
    /// The first whose state files have a row for the version of their layout.
    const FIRST_WITH_LAYOUT: Self = Self { major: 3, minor: 6 };

    /// The only version that a downgrade can lead to from this one; `None` if there is none.
    pub fn downgraded(self) -> Option<Self> {
        Some(Self { minor: self.minor.checked_sub(1)?, ..self })
    }

    /// The version of the layout of state files in a cluster at this version; `None` for clusters before 3.6, whose files
    /// do not name it.
    pub fn storage(self) -> Option<Self> {
        (self >= Self::FIRST_WITH_LAYOUT).then_some(self)
    }

    /// The form `X.Y`.
    pub fn short(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }
}

/// The version that a cluster should change to, if any. `servers` are the versions of all members' programs;
/// `None` for each that has not reported it. During a downgrade, `target` is where it leads.
///
/// # Errors
/// The downgrade cannot lead there. The cluster stays at its version.
pub fn decide_version(
    current: Option<Version>,
    target: Option<Version>,
    servers: impl IntoIterator<Item = Option<Version>>,
) -> Result<Option<Version>, DowngradeError> {
    let lowest = servers
        .into_iter()
        .try_fold(None, |lowest: Option<Version>, server| {
            server.map(|server| Some(lowest.map_or(server, |lowest| lowest.min(server))))
        })
        .flatten();
    let Some(current) = current else { return Ok(Some(lowest.unwrap_or(Version::MIN))) };
    let Some(lowest) = lowest else { return Ok(None) };
    match target {
        Some(target) if target == current => Ok(None),
        Some(target) => {
            let is_next = [current, lowest].iter().all(|version| version.downgraded() == Some(target));
            is_next.then_some(Some(target)).ok_or(DowngradeError { target, current, lowest })
        }
        None => Ok((current < lowest && current.major == lowest.major).then_some(lowest)),
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `X.Y.Z`; what follows the numbers behind a `-` or `+` must have the form that a version allows there, and
    /// does not matter.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError(text.to_owned());
        let (release, build) = text.split_once('+').unwrap_or((text, ""));
        let (numbers, pre_release) = release.split_once('-').unwrap_or((release, ""));
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if !build.chars().chain(pre_release.chars()).all(is_allowed) {
            return Err(error());
        }
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
            ("3.6.0-rc-2.1+git-5", Some("3.6.0")),
            ("3.6.0-rc_1", None),
            ("3.6.0+a+b", None),
            ("v3.6.0", None),
            ("3.6-rc.1", None),
            ("3.6.0.0", None),
            ("3.-6.0", None),
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
            assert_eq!(decide(current, None, servers), Ok(expected.map(str::to_owned)), "{current:?}");
        }
    }

    #[test]
    fn a_downgrade_leads_one_minor_version_down() {
        for (current, target, servers, expected) in [
            ("3.7.0", "3.6.0", &["3.7.1", "3.7.1"][..], Ok(Some("3.6.0"))),
            ("3.7.0", "3.6.0", &["3.7.1", "3.8.0"], Ok(Some("3.6.0"))),
            // There already, and the members do not raise it.
            ("3.6.0", "3.6.0", &["3.7.1", "3.7.1"], Ok(None)),
            ("3.6.0", "3.6.0", &["3.7.1", "3.6.1"], Ok(None)),
            ("3.7.0", "3.6.0", &["3.7.1", "?"], Ok(None)),
            ("3.7.0", "3.5.0", &["3.7.1"], Err(())),
            ("3.6.0", "3.7.0", &["3.7.1"], Err(())),
            // The cluster has fallen already, and its members have not.
            ("3.6.0", "3.5.0", &["3.7.1"], Err(())),
            ("3.6.0", "3.5.0", &["3.7.1", "3.6.1"], Ok(Some("3.5.0"))),
            ("4.0.0", "3.9.0", &["4.0.1"], Err(())),
        ] {
            let decided = decide(Some(current), Some(target), servers).map_err(drop);
            let expected = expected.map(|version| version.map(str::to_owned));
            assert_eq!(decided, expected, "{current} to {target} with {servers:?}");
        }
        let error = decide(Some("3.7.0"), Some("3.5.0"), &["3.8.0"]).expect_err("two versions down");
        assert_eq!(
            error.to_string(),
            "lower the cluster version to 3.5.0: a downgrade leads one minor version down, from 3.7.0 with members of \
             3.8.0 or later"
        );
    }

    #[test]
    fn layouts_have_versions_from_3_6_on() {
        for (cluster, storage) in
            [("3.7.0", Some("3.7.0")), ("3.6.0", Some("3.6.0")), ("3.5.0", None), ("3.0.0", None)]
        {
            let version: Version = cluster.parse().expect("a version");
            assert_eq!(version.storage().map(|version| version.to_string()).as_deref(), storage);
        }
    }

    fn decide(
        current: Option<&str>,
        target: Option<&str>,
        servers: &[&str],
    ) -> Result<Option<String>, DowngradeError> {
        let version = |text: &str| text.parse().expect("a version");
        let servers = servers.iter().map(|text| text.parse().ok());
        let decided = decide_version(current.map(version), target.map(version), servers)?;
        Ok(decided.map(|version| version.to_string()))
    }
}
