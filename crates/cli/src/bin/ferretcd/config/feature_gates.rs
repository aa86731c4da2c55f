//! Feature gates: switches for behaviour that is not settled yet, in one flag.

use std::collections::BTreeMap;
use std::fmt;

use ferretcd_flags::{ScalarError, parse_bool};

/// How settled the behaviour behind a gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Off by default.
    Alpha,
    /// On by default.
    Beta,
}

/// Every gate with its stage, in the order of their names.
const GATES: [(&str, Stage); 9] = [
    ("CompactHashCheck", Stage::Alpha),
    ("FastLeaseKeepAlive", Stage::Beta),
    ("InitialCorruptCheck", Stage::Alpha),
    // Alpha in etcd: there a lease has its whole time again whenever the leader changes.
    ("LeaseCheckpoint", Stage::Beta),
    ("LeaseCheckpointPersist", Stage::Alpha),
    ("PriorityRequest", Stage::Alpha),
    ("SetMemberLocalAddr", Stage::Alpha),
    ("StopGRPCServiceOnDefrag", Stage::Alpha),
    ("TxnModeWriteWithSharedBuffer", Stage::Beta),
];

/// Which gates are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FeatureGates {
    enabled: BTreeMap<&'static str, bool>,
    given: String,
}

/// Why a text does not set gates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GateError {
    /// A name without `=true` or `=false`.
    #[error("missing bool value for {0}")]
    NoValue(String),
    /// The value is not a boolean.
    #[error("invalid value of {gate}={value}, err: {source}")]
    Value {
        /// The gate.
        gate: String,
        /// The text behind `=`.
        value: String,
        /// What is wrong with it.
        source: ScalarError,
    },
    /// There is no such gate.
    #[error("unrecognized feature gate: {0}")]
    Unknown(String),
    /// Persisting checkpoints of leases without making any.
    #[error("enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint")]
    PersistWithoutCheckpoint,
}

impl FeatureGates {
    /// Reads `A=true,B=false`. `AllAlpha` and `AllBeta` stand for all gates of that stage that are not named.
    pub(crate) fn parse(text: &str) -> Result<Self, GateError> {
        let mut given = BTreeMap::new();
        for item in text.split(',').filter(|item| !item.trim().is_empty()) {
            let (gate, value) =
                item.split_once('=').ok_or_else(|| GateError::NoValue(item.trim().to_owned()))?;
            let (gate, value) = (gate.trim(), value.trim());
            let open = parse_bool(value).map_err(|source| GateError::Value {
                gate: gate.to_owned(),
                value: value.to_owned(),
                source,
            })?;
            if !matches!(gate, "AllAlpha" | "AllBeta") && !GATES.iter().any(|(name, _)| *name == gate) {
                return Err(GateError::Unknown(gate.to_owned()));
            }
            given.insert(gate, open);
        }
        let enabled = GATES.iter().map(|&(name, stage)| {
            let group = if stage == Stage::Alpha { "AllAlpha" } else { "AllBeta" };
            let open = given.get(name).or_else(|| given.get(group)).copied();
            (name, open.unwrap_or(stage == Stage::Beta))
        });
        let gates = Self { enabled: enabled.collect(), given: text.to_owned() };
        if gates.is_enabled("LeaseCheckpointPersist") && !gates.is_enabled("LeaseCheckpoint") {
            return Err(GateError::PersistWithoutCheckpoint);
        }
        Ok(gates)
    }

    /// Whether a gate is open. False for names that are none.
    pub(crate) fn is_enabled(&self, name: &str) -> bool {
        self.enabled.get(name).copied().unwrap_or(false)
    }
}

/// The text that was given.
impl fmt::Display for FeatureGates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Vec<&'static str> {
        let gates = FeatureGates::parse(text).unwrap();
        GATES.iter().map(|(name, _)| *name).filter(|name| gates.is_enabled(name)).collect()
    }

    #[test]
    fn gates_and_groups() {
        let beta = ["FastLeaseKeepAlive", "LeaseCheckpoint", "TxnModeWriteWithSharedBuffer"];
        assert_eq!(open(""), beta);
        assert_eq!(open("FastLeaseKeepAlive=false"), beta[1..]);
        assert_eq!(open("AllBeta=false"), [""; 0]);
        assert_eq!(open("AllBeta=false, FastLeaseKeepAlive=true,"), beta[..1]);
        assert_eq!(open("AllAlpha=true").len(), GATES.len());
        assert_eq!(open("PriorityRequest=false,AllAlpha=1").len(), GATES.len() - 1);
    }

    #[test]
    fn errors() {
        fn check(text: &str, expected: &str) {
            assert_eq!(FeatureGates::parse(text).unwrap_err().to_string(), expected);
        }
        check("Nope=true", "unrecognized feature gate: Nope");
        check("LeaseCheckpoint", "missing bool value for LeaseCheckpoint");
        check("LeaseCheckpoint=on", "invalid value of LeaseCheckpoint=on, err: parse error");
        check(
            "LeaseCheckpoint=false,LeaseCheckpointPersist=true",
            "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint",
        );
    }
}
