/// One of the ten buckets of etcd's backend. The set is closed: no other bucket is ever created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Raised alarms.
    Alarm,
    /// Whether authentication is on, and its revision.
    Auth,
    /// Roles and their permissions.
    AuthRoles,
    /// Users.
    AuthUsers,
    /// Cluster version and downgrade state.
    Cluster,
    /// Every revision of every key.
    Key,
    /// Granted leases.
    Lease,
    /// Members of the cluster.
    Members,
    /// Ids of members that were removed; they never come back.
    MembersRemoved,
    /// Applied index, term, configuration and compaction marks.
    Meta,
}

impl Bucket {
    /// All buckets, in byte order of their names, which is the order in which they are hashed.
    pub const ALL: [Self; 10] = [
        Self::Alarm,
        Self::Auth,
        Self::AuthRoles,
        Self::AuthUsers,
        Self::Cluster,
        Self::Key,
        Self::Lease,
        Self::Members,
        Self::MembersRemoved,
        Self::Meta,
    ];

    /// The bucket's name in etcd's database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Auth => "auth",
            Self::AuthRoles => "authRoles",
            Self::AuthUsers => "authUsers",
            Self::Cluster => "cluster",
            Self::Key => "key",
            Self::Lease => "lease",
            Self::Members => "members",
            Self::MembersRemoved => "members_removed",
            Self::Meta => "meta",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bucket;

    #[test]
    fn buckets_are_in_byte_order_of_their_names() {
        assert!(Bucket::ALL.is_sorted_by(|a, b| a.name() < b.name()));
    }

    #[test]
    fn buckets_are_indexed_by_discriminant() {
        for (index, bucket) in Bucket::ALL.into_iter().enumerate() {
            assert_eq!(bucket as usize, index);
        }
    }
}
