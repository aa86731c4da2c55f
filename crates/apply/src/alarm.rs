//! Alarms: facts about a member that restrict the whole cluster until they are disarmed.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{AlarmMember, AlarmRequest, AlarmType, alarm_request::AlarmAction};
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::MemberId;
use prost::Message;

use crate::OpenError;

/// One active alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alarm {
    /// Number of the [`AlarmType`]; never `NONE`.
    pub kind: i32,
    /// The member it is about.
    pub member: MemberId,
}

impl Alarm {
    /// The message on the wire.
    pub fn to_message(self) -> AlarmMember {
        AlarmMember { member_id: self.member.0, alarm: self.kind }
    }

    /// Its row's key; the value is empty.
    fn row(self) -> Bytes {
        self.to_message().encode_to_vec().into()
    }
}

/// The active alarms, and their rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarms(BTreeSet<Alarm>);

impl Alarms {
    pub(crate) fn open(backend: &Backend) -> Result<Self, OpenError> {
        let mut alarms = BTreeSet::new();
        for row in backend.view().range(Bucket::Alarm, (Bound::Unbounded, Bound::Unbounded))? {
            let (key, _) = row?;
            let message = AlarmMember::decode(key.clone()).map_err(|_| OpenError::Corrupt {
                bucket: Bucket::Alarm.name(),
                row: key.escape_ascii().to_string(),
            })?;
            alarms.insert(Alarm { kind: message.alarm, member: MemberId(message.member_id) });
        }
        Ok(Self(alarms))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Alarm> {
        self.0.iter().copied()
    }

    pub(crate) fn is_active(&self, kind: AlarmType) -> bool {
        self.0.iter().any(|alarm| alarm.kind == kind as i32)
    }

    /// Executes an Alarm request and returns the alarms for its response. A request with an
    /// unknown action does nothing, as one with the type NONE.
    pub(crate) fn execute(&mut self, request: &AlarmRequest, batch: &mut Batch) -> Vec<Alarm> {
        let alarm = Alarm { kind: request.alarm, member: MemberId(request.member_id) };
        let none = request.alarm == AlarmType::None as i32;
        match AlarmAction::try_from(request.action) {
            Ok(AlarmAction::Get) => self.iter().filter(|active| none || active.kind == alarm.kind).collect(),
            Ok(AlarmAction::Activate) if !none => {
                if self.0.insert(alarm) {
                    batch.put(Bucket::Alarm, alarm.row(), Bytes::new());
                }
                vec![alarm]
            }
            Ok(AlarmAction::Deactivate) if self.0.remove(&alarm) => {
                batch.delete(Bucket::Alarm, alarm.row());
                vec![alarm]
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOSPACE: i32 = AlarmType::Nospace as i32;
    const CORRUPT: i32 = AlarmType::Corrupt as i32;

    fn request(action: AlarmAction, member: u64, kind: i32) -> AlarmRequest {
        AlarmRequest { action: action as i32, member_id: member, alarm: kind }
    }

    #[test]
    fn alarms_are_raised_listed_and_disarmed() {
        use AlarmAction::{Activate, Deactivate, Get};
        let backend = Backend::in_memory();
        let mut alarms = Alarms::open(&backend).expect("empty");
        let cases = [
            (request(Get, 0, 0), vec![]),
            (request(Activate, 5, 0), vec![]),
            (request(Activate, 5, CORRUPT), vec![(5, CORRUPT)]),
            (request(Activate, 6, NOSPACE), vec![(6, NOSPACE)]),
            (request(Get, 0, 0), vec![(6, NOSPACE), (5, CORRUPT)]),
            (request(Get, 5, NOSPACE), vec![(6, NOSPACE)]),
            (request(Deactivate, 5, NOSPACE), vec![]),
            (request(Deactivate, 6, NOSPACE), vec![(6, NOSPACE)]),
            (request(Get, 0, 0), vec![(5, CORRUPT)]),
        ];
        for (request, expected) in cases {
            let mut batch = Batch::default();
            let response = alarms.execute(&request, &mut batch);
            backend.commit(&batch).expect("memory");
            let response: Vec<_> = response.iter().map(|alarm| (alarm.member.0, alarm.kind)).collect();
            assert_eq!(response, expected, "{request:?}");
        }
        let reopened = Alarms::open(&backend).expect("own rows");
        assert!(reopened.is_active(AlarmType::Corrupt) && !reopened.is_active(AlarmType::Nospace));
    }

    #[test]
    fn the_row_is_etcds() {
        assert_eq!(Alarm { kind: CORRUPT, member: MemberId(5) }.row(), &b"\x08\x05\x10\x02"[..]);
    }
}
