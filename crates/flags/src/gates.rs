//! Feature gates: switches for behaviour that is not settled yet, in one flag.

use std::collections::BTreeMap;
use std::fmt;

use crate::parse_bool;

/// A feature gate as the table describes it.
#[derive(Debug)]
pub struct Gate {
    /// The name.
    pub name: &'static str,
    /// How settled the behaviour behind it is.
    pub stage: Stage,
    /// Whether it changes anything in this version.
    pub has_effect: bool,
}

/// How settled the behaviour behind a gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Off by default.
    Alpha,
    /// On by default.
    Beta,
}

impl Stage {
    /// As etcd's metrics spell it.
    fn label(self) -> &'static str {
        match self {
            Self::Alpha => "ALPHA",
            Self::Beta => "BETA",
        }
    }
}

const fn gate(name: &'static str, stage: Stage, has_effect: bool) -> Gate {
    Gate { name, stage, has_effect }
}

/// Every gate, in the order of their names.
pub static GATES: [Gate; 9] = [
    gate("CompactHashCheck", Stage::Alpha, true),
    gate("FastLeaseKeepAlive", Stage::Beta, false),
    gate("InitialCorruptCheck", Stage::Alpha, true),
    // Alpha in etcd: there a lease has its whole time again whenever the leader changes.
    gate("LeaseCheckpoint", Stage::Beta, true),
    gate("LeaseCheckpointPersist", Stage::Alpha, false),
    gate("PriorityRequest", Stage::Alpha, false),
    gate("SetMemberLocalAddr", Stage::Alpha, true),
    gate("StopGRPCServiceOnDefrag", Stage::Alpha, false),
    gate("TxnModeWriteWithSharedBuffer", Stage::Beta, false),
];

/// The gates that were set; every other one is as its stage has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureGates {
    /// With those that a group has set, and the groups.
    set: BTreeMap<&'static str, bool>,
}

/// Why a text does not set gates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// A name without `=true` or `=false`.
    #[error("missing bool value for {0}")]
    NoValue(String),
    /// The value is not a boolean.
    #[error("invalid value of {gate}={value}, err: strconv.ParseBool: parsing {value:?}: invalid syntax")]
    Value {
        /// The gate.
        gate: String,
        /// The text behind `=`.
        value: String,
    },
    /// There is no such gate.
    #[error("unrecognized feature gate: {0}")]
    Unknown(String),
}

const GROUPS: [(&str, Stage); 2] = [("AllAlpha", Stage::Alpha), ("AllBeta", Stage::Beta)];

impl FeatureGates {
    /// Sets `A=true,B=false`. `AllAlpha` and `AllBeta` stand for all gates of that stage that nothing else has set.
    pub(crate) fn set(&mut self, text: &str) -> Result<(), GateError> {
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let Some((name, value)) = item.split_once('=') else {
                return Err(GateError::NoValue(item.trim().to_owned()));
            };
            let (name, value) = (name.trim(), value.trim());
            let Ok(is_on) = parse_bool(value) else {
                return Err(GateError::Value { gate: name.to_owned(), value: value.to_owned() });
            };
            let names = GATES.iter().map(|gate| gate.name).chain(GROUPS.map(|(group, _)| group));
            let known = names.into_iter().find(|known| *known == name);
            self.set.insert(known.ok_or_else(|| GateError::Unknown(name.to_owned()))?, is_on);
        }
        for (group, stage) in GROUPS {
            let Some(&is_on) = self.set.get(group) else { continue };
            for gate in GATES.iter().filter(|gate| gate.stage == stage) {
                self.set.entry(gate.name).or_insert(is_on);
            }
        }
        Ok(())
    }

    /// Whether a gate is open.
    ///
    /// # Panics
    ///
    /// If there is no gate of this name.
    pub fn is_enabled(&self, name: &str) -> bool {
        let gate =
            GATES.iter().find(|gate| gate.name == name).expect("the caller asks for a gate of the table");
        self.set.get(name).copied().unwrap_or(gate.stage == Stage::Beta)
    }

    /// Every gate and every group with its stage, as etcd's metrics spell that, and whether it is open. A group is open only
    /// if it was set.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        let gates = GATES.iter().map(|gate| (gate.name, gate.stage, self.is_enabled(gate.name)));
        let groups = GROUPS
            .iter()
            .map(|(group, stage)| (*group, *stage, self.set.get(group).is_some_and(|is_open| *is_open)));
        groups.chain(gates).map(|(name, stage, is_open)| (name, stage.label(), is_open))
    }

    /// The gates that were set, by name or with their group, and change nothing in this version.
    pub fn without_effect(&self) -> impl Iterator<Item = &'static Gate> {
        GATES.iter().filter(|gate| !gate.has_effect && self.set.contains_key(gate.name))
    }
}

/// What was set, in the order of the names.
impl fmt::Display for FeatureGates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.set.iter().map(|(name, is_on)| format!("{name}={is_on}")).collect();
        f.write_str(&all.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gates(texts: &[&str]) -> FeatureGates {
        let mut gates = FeatureGates::default();
        texts.iter().for_each(|text| gates.set(text).unwrap());
        gates
    }

    fn open(texts: &[&str]) -> Vec<&'static str> {
        let gates = gates(texts);
        GATES.iter().map(|gate| gate.name).filter(|name| gates.is_enabled(name)).collect()
    }

    #[test]
    fn gates_and_groups() {
        let beta = ["FastLeaseKeepAlive", "LeaseCheckpoint", "TxnModeWriteWithSharedBuffer"];
        assert_eq!(open(&[]), beta);
        assert_eq!(open(&["FastLeaseKeepAlive=false"]), beta[1..]);
        assert_eq!(open(&["AllBeta=false"]), [""; 0]);
        assert_eq!(open(&["AllBeta=false, FastLeaseKeepAlive=true,"]), beta[..1]);
        assert_eq!(open(&["AllAlpha=true"]).len(), GATES.len());
        assert_eq!(open(&["PriorityRequest=false,AllAlpha=1"]).len(), GATES.len() - 1);
        assert_eq!(open(&["AllAlpha=true", "PriorityRequest=false"]).len(), GATES.len() - 1);
        assert!(GATES.is_sorted_by_key(|gate| gate.name));
    }

    #[test]
    fn all_gates_are_listed_with_their_groups() {
        let listed = |texts: &[&str], name: &str| {
            gates(texts).all().find(|gate| gate.0 == name).map(|(_, stage, is_open)| (stage, is_open))
        };
        assert_eq!(gates(&[]).all().count(), GATES.len() + GROUPS.len());
        assert_eq!(listed(&[], "AllBeta"), Some(("BETA", false)));
        assert_eq!(listed(&[], "FastLeaseKeepAlive"), Some(("BETA", true)));
        assert_eq!(listed(&["AllAlpha=true"], "AllAlpha"), Some(("ALPHA", true)));
        assert_eq!(listed(&["AllAlpha=true"], "PriorityRequest"), Some(("ALPHA", true)));
    }

    #[test]
    fn what_was_set_is_shown_in_order() {
        assert_eq!(gates(&[]).to_string(), "");
        let set = gates(&["PriorityRequest=T", "LeaseCheckpoint = 0"]);
        assert_eq!(set.to_string(), "LeaseCheckpoint=false,PriorityRequest=true");
        let without_effect: Vec<_> = set.without_effect().map(|gate| gate.name).collect();
        assert_eq!(without_effect, ["PriorityRequest"]);
    }

    #[test]
    fn errors() {
        fn check(text: &str, expected: &str) {
            assert_eq!(FeatureGates::default().set(text).unwrap_err().to_string(), expected);
        }
        check("Nope=true", "unrecognized feature gate: Nope");
        check("leasecheckpoint=true", "unrecognized feature gate: leasecheckpoint");
        check("LeaseCheckpoint", "missing bool value for LeaseCheckpoint");
        check(" ", "missing bool value for ");
        check(
            "LeaseCheckpoint=on",
            "invalid value of LeaseCheckpoint=on, err: strconv.ParseBool: parsing \"on\": invalid syntax",
        );
    }
}
