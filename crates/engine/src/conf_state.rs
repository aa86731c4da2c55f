//! The group's configuration in the JSON form that etcd stores.

use ferretcd_wal::ConfState;
use serde::Deserialize;

#[derive(Deserialize)]
struct Json {
    #[serde(default)]
    voters: Vec<u64>,
    #[serde(default)]
    learners: Vec<u64>,
    #[serde(default)]
    voters_outgoing: Vec<u64>,
    #[serde(default)]
    learners_next: Vec<u64>,
    #[serde(default)]
    auto_leave: bool,
}

/// Reads what [`ferretcd_membership::Membership::conf_state_json`] or etcd wrote; no text is no configuration.
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
    fn text_of_etcd_is_read() {
        let check = |text: &str, expected| {
            assert_eq!(from_json(text.as_bytes()).expect("etcd's text"), expected, "{text}");
        };
        let one = ConfState { voters: vec![6_898_171_603_489_705_232], ..ConfState::default() };
        check(r#"{"voters":[6898171603489705232],"auto_leave":false}"#, one);
        let joint = ConfState {
            voters: vec![1],
            learners: vec![2],
            voters_outgoing: vec![3],
            learners_next: vec![4],
            auto_leave: true,
        };
        let text =
            r#"{"voters":[1],"learners":[2],"voters_outgoing":[3],"learners_next":[4],"auto_leave":true}"#;
        check(text, joint);
        check("", ConfState::default());
    }
}
