//! The founders that have registered so far, as a plain function of the registry's rows.

use std::collections::BTreeSet;

use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_base::MemberId;
use ferretcd_membership::parse_initial_cluster;
use tracing::warn;

use crate::Members;

/// Where a cluster's rows are in the registry.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Below everything that belongs to the cluster.
    prefix: String,
}

impl Keys {
    /// For the cluster of this token. Empty parts between slashes don't count, as in a path.
    pub(super) fn new(token: &str) -> Self {
        let parts: Vec<_> = token.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        Self { prefix: format!("/_etcd/registry/{}", parts.join("/")) }
    }

    /// The number of founders, in decimal.
    pub(super) fn size(&self) -> String {
        format!("{}/_config/size", self.prefix)
    }

    /// What the keys of all members begin with.
    pub(super) fn members(&self) -> String {
        format!("{}/members/", self.prefix)
    }

    /// The row of one member: `name=url,name=url`.
    pub(super) fn member(&self, id: MemberId) -> String {
        format!("{}{id}", self.members())
    }
}

/// Rows of a registry that make no cluster. The texts are etcd's, but for the one it does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// The row with the number of founders is missing.
    #[error("discovery: size key not found")]
    SizeMissing,
    /// The row with the number of founders has no number above zero.
    #[error("discovery: size key is bad")]
    SizeBad,
    /// Other members have taken all places.
    #[error("discovery: cluster is full")]
    Full,
    /// A member has registered with something else than URLs.
    #[error("discovery: invalid peer URL")]
    Url,
    /// Two members have the same name, or one has two names.
    #[error("discovery cluster {0} has duplicate name")]
    DuplicateName(String),
    /// Two members have the same URL, or one has it twice.
    #[error("discovery cluster {0} has duplicate url")]
    DuplicateUrl(String),
}

/// The number of founders in a size row's value.
pub(super) fn size(value: Option<&[u8]>) -> Result<usize, RowsError> {
    let text = str::from_utf8(value.ok_or(RowsError::SizeMissing)?).map_err(|_| RowsError::SizeBad)?;
    let text = text.strip_prefix('+').unwrap_or(text);
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let size = text.parse().ok().filter(|size| is_number && *size > 0);
    size.ok_or(RowsError::SizeBad)
}

/// A member that has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Founder {
    pub(super) key: String,
    /// `name=url,name=url`.
    pub(super) entry: String,
}

/// All members that have registered, in that order.
#[derive(Clone, Debug, Default)]
pub(super) struct Founders(Vec<Founder>);

impl Founders {
    /// Reads the rows below [`Keys::members`]. Rows without a member are skipped with a warning.
    pub(super) fn read(mut rows: Vec<KeyValue>) -> Self {
        rows.sort_by_key(|row| row.create_revision);
        let mut founders = Vec::new();
        for row in rows {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
            let founder = Founder { key: text(&row.key), entry: text(&row.value) };
            if founder.entry.contains('=') {
                founders.push(founder);
            } else {
                warn!(
                    memberKey = founder.key,
                    memberInfo = founder.entry,
                    "invalid peer info returned from discovery service"
                );
            }
        }
        Self(founders)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Founder> {
        self.0.iter()
    }

    /// Whether this member is one of the founders, or can still become one.
    pub(super) fn check_room(&self, size: usize, own_key: &str) -> Result<(), RowsError> {
        let is_in = self.0.iter().take(size).any(|founder| founder.key == own_key);
        if is_in || self.0.len() < size { Ok(()) } else { Err(RowsError::Full) }
    }

    /// The cluster of the first `size` founders. More may have registered at the same moment.
    pub(super) fn cluster(&self, size: usize) -> Result<Members, RowsError> {
        let mut members = Members::new();
        let entries: Vec<_> = self.0.iter().take(size).map(|founder| founder.entry.as_str()).collect();
        for entry in &entries {
            let one = parse_initial_cluster(entry).map_err(|_| RowsError::Url)?;
            let is_new = one.len() == 1 && one.keys().all(|name| !members.contains_key(name));
            if !is_new {
                return Err(RowsError::DuplicateName(entries.join(",")));
            }
            members.extend(one);
        }
        let mut seen = BTreeSet::new();
        if members.values().flatten().all(|url| seen.insert(url)) {
            Ok(members)
        } else {
            Err(RowsError::DuplicateUrl(entries.join(",")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn founders(rows: &[(&str, &str, i64)]) -> Founders {
        let row = |(key, value, create_revision): &(&str, &str, i64)| KeyValue {
            key: key.as_bytes().to_vec().into(),
            value: value.as_bytes().to_vec().into(),
            create_revision: *create_revision,
            ..KeyValue::default()
        };
        Founders::read(rows.iter().map(row).collect())
    }

    #[test]
    fn keys_are_those_of_etcd() {
        let keys = Keys::new("t");
        assert_eq!(keys.size(), "/_etcd/registry/t/_config/size");
        assert_eq!(keys.member(MemberId(0x1f)), "/_etcd/registry/t/members/1f");
        assert_eq!(Keys::new("/a//b/").members(), "/_etcd/registry/a/b/members/");
    }

    #[test]
    fn sizes() {
        let check =
            |value: Option<&str>, expected| assert_eq!(size(value.map(str::as_bytes)), expected, "{value:?}");
        check(None, Err(RowsError::SizeMissing));
        check(Some("3"), Ok(3));
        check(Some("+3"), Ok(3));
        for bad in ["", "0", "-1", "three", " 3", "+-3", "99999999999999999999"] {
            check(Some(bad), Err(RowsError::SizeBad));
        }
    }

    #[test]
    fn founders_are_those_that_registered_first() {
        let rows = [("c", "c=http://h:3", 30), ("a", "a=http://h:1", 40), ("b", "b=http://h:2", 20)];
        let all = founders(&rows);
        let check = |size, key, expected| assert_eq!(all.check_room(size, key), expected, "{size} {key}");
        check(3, "a", Ok(()));
        check(2, "b", Ok(()));
        check(2, "a", Err(RowsError::Full));
        check(2, "new", Err(RowsError::Full));
        check(4, "new", Ok(()));
        let names: Vec<_> = all.cluster(2).unwrap().into_keys().collect();
        assert_eq!(names, ["b", "c"]);
    }

    #[test]
    fn rows_that_make_no_cluster_are_errors() {
        let check = |rows: &[(&str, &str, i64)], expected: Result<&str, &str>| {
            let cluster = founders(rows).cluster(3).map_err(|error| error.to_string());
            let shown = cluster.map(|members| format!("{members:?}"));
            assert_eq!(shown, expected.map(str::to_owned).map_err(str::to_owned), "{rows:?}");
        };
        check(
            &[("1", "a=http://h:2,a=http://h:1", 1), ("2", " b=http://h:3 ", 2), ("3", "nothing", 3)],
            Ok(r#"{"a": ["http://h:1", "http://h:2"], "b": ["http://h:3"]}"#),
        );
        check(&[("1", "a=", 1)], Err("discovery: invalid peer URL"));
        check(
            &[("1", "a=http://h:1", 1), ("2", "a=http://h:2", 2)],
            Err("discovery cluster a=http://h:1,a=http://h:2 has duplicate name"),
        );
        check(
            &[("1", "a=http://h:1,b=http://h:2", 1)],
            Err("discovery cluster a=http://h:1,b=http://h:2 has duplicate name"),
        );
        check(
            &[("1", "a=http://h:1", 1), ("2", "b=http://h:1", 2)],
            Err("discovery cluster a=http://h:1,b=http://h:1 has duplicate url"),
        );
    }
}
