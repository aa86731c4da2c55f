//! The configuration that the consensus core has with these members, in the JSON form that etcd stores.

use bytes::Bytes;
use ferretcd_base::MemberId;
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
        let ids = |members: &mut dyn Iterator<Item = MemberId>| members.map(|id| id.0).collect();
        conf_state_json(ids(&mut self.voters()), ids(&mut self.non_voters()))
    }
}

/// A configuration of these voters and learners.
pub fn conf_state_json(voters: Vec<u64>, learners: Vec<u64>) -> Bytes {
    let conf_state = ConfState { voters, learners, auto_leave: false };
    serde_json::to_vec(&conf_state).expect("numbers and lists of them").into()
}

#[cfg(test)]
mod tests {
    use ferretcd_backend::Batch;

    use super::*;
    use crate::{Change, Member};

    #[test]
    fn the_text_is_etcds() {
        let mut membership = Membership::default();
        assert_eq!(membership.conf_state_json(), r#"{"auto_leave":false}"#);
        let mut change = |change| {
            membership.change(change, &mut Batch::default()).expect("possible");
            membership.conf_state_json()
        };
        let member =
            |id| Member { id: MemberId(id), peer_urls: vec![format!("http://m{id}:1")], ..Member::default() };
        assert_eq!(
            change(Change::add(member(6_898_171_603_489_705_232))),
            r#"{"voters":[6898171603489705232],"auto_leave":false}"#
        );
        // A joining member gets the log like a learner.
        let learner = Member { is_learner: true, ..member(7) };
        let joining = Member { is_joining: true, ..member(5) };
        change(Change::add(learner));
        assert_eq!(
            change(Change::add(joining)),
            r#"{"voters":[6898171603489705232],"learners":[5,7],"auto_leave":false}"#
        );
        assert_eq!(
            change(Change::Promote(MemberId(5))),
            r#"{"voters":[5,6898171603489705232],"learners":[7],"auto_leave":false}"#
        );
    }
}
