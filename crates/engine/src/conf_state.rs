//! The group's configuration in the JSON form that etcd stores.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wal::ConfState;

#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    voters: Vec<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    learners: Vec<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    voters_outgoing: Vec<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    learners_next: Vec<u64>,
    #[serde(default)]
    auto_leave: bool,
}

pub(crate) fn to_json(state: &ConfState) -> Bytes {
    let ConfState { voters, learners, voters_outgoing, learners_next, auto_leave } = state.clone();
    let json = Json { voters, learners, voters_outgoing, learners_next, auto_leave };
    serde_json::to_vec(&json).expect("numbers and lists of them").into()
}

/// Reads [`to_json`]; no text is no configuration.
pub(crate) fn from_json(text: &[u8]) -> Result<ConfState, serde_json::Error> {
    if text.is_empty() {
        return Ok(ConfState::default());
    }
    let Json { voters, learners, voters_outgoing, learners_next, auto_leave } = serde_json::from_slice(text)?;
    Ok(ConfState { voters, learners, voters_outgoing, learners_next, auto_leave })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_etcds() {
        let one = ConfState { voters: vec![6_898_171_603_489_705_232], ..ConfState::default() };
        assert_eq!(to_json(&one), r#"{"voters":[6898171603489705232],"auto_leave":false}"#);
        let joint = ConfState {
            voters: vec![1],
            learners: vec![2],
            voters_outgoing: vec![3],
            learners_next: vec![4],
            auto_leave: true,
        };
        for state in [one, joint, ConfState::default()] {
            assert_eq!(from_json(&to_json(&state)).expect("own text"), state);
        }
        assert_eq!(from_json(b"").expect("nothing"), ConfState::default());
    }
}
