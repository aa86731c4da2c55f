//! Identifiers that are plain numbers on the wire and must not be mixed up.

use std::fmt;

/// Identifies a member of a cluster. Shown as lower-case hexadecimal without leading zeros, as in every
/// etcd log line and file. Zero means "no member".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// Identifies a cluster for its whole life. Shown like [`MemberId`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

/// Identifies a lease. Zero means "no lease". Shown as hexadecimal of 16 digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

impl LeaseId {
    /// The absence of a lease.
    pub const NONE: Self = Self(0);

    /// Whether this is [`LeaseId::NONE`].
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Go's `%016x`, in which the sign is one of the digits.
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{:0width$x}", self.0.unsigned_abs(), width = 16 - sign.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shown_as_etcd_shows_them() {
        assert_eq!(ClusterId(1_112_788_720_337_101_170).to_string(), "f716b7201c12172");
        assert_eq!(MemberId(6_898_171_603_489_705_232).to_string(), "5fbb3a8679b0cd10");
        assert_eq!(LeaseId(0x1234).to_string(), "0000000000001234");
        assert_eq!(LeaseId(-1).to_string(), "-000000000000001");
    }
}
