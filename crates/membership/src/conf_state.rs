//! The configuration that the consensus core has with these members, in the JSON form that etcd stores.

use bytes::Bytes;
use serde::Serialize;

use crate::Membership;

#[derive(Serialize)]
struct ConfState {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    voters: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    learners: Vec<u64>,
    /// Members change one at a time, so nothing is ever left automatically.
    auto_leave: bool,
}

impl Membership {
    /// The voters and the others that receive the log, ascending; equal bytes for equal members.
    pub fn conf_state_json(&self) -> Bytes {
        let ids = |is_learner| {
            let chosen = self.members().filter(move |member| member.is_learner == is_learner);
            chosen.map(|member| member.id.0).collect()
        };
        let conf_state = ConfState { voters: ids(false), learners: ids(true), auto_leave: false };
        serde_json::to_vec(&conf_state).expect("numbers and lists of them").into()
    }
}
