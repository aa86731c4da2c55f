//! One query and its response as bytes.

use std::cmp::Reverse;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};

/// Datagrams of this size pass everywhere.
pub(super) const DATAGRAM_BYTES_MAX: u16 = 1232;

/// A record: where the service is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Srv {
    /// Smaller ones come first.
    pub(crate) priority: u16,
    /// Among records of the same priority, larger ones come first.
    pub(crate) weight: Reverse<u16>,
    /// The host, with a dot at the end: the name is complete.
    pub(crate) target: String,
    /// Its port.
    pub(crate) port: u16,
}

/// A query for one name.
pub(super) struct Query {
    name: String,
    id: u16,
    /// What is sent.
    pub(super) bytes: Vec<u8>,
}

/// The response of a server.
pub(super) struct Response {
    pub(super) code: RCODE,
    /// There are more records than fit into a datagram.
    pub(super) is_cut: bool,
    pub(super) records: Vec<Srv>,
}

impl Query {
    /// `None` if the text is not a name.
    pub(super) fn new(name: &str) -> Option<Self> {
        // Seeded by the system for each query, so that no sender can guess the number.
        let number = RandomState::new().build_hasher().finish().to_le_bytes();
        let id = u16::from_le_bytes([number[0], number[1]]);
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(Question::new(
            Name::new(name).ok()?,
            TYPE::SRV.into(),
            CLASS::IN.into(),
            false,
        ));
        *packet.opt_mut() =
            Some(OPT { opt_codes: Vec::new(), udp_packet_size: DATAGRAM_BYTES_MAX, version: 0 });
        let bytes = packet.build_bytes_vec().ok()?;
        Some(Self { name: name.to_owned(), id, bytes })
    }

    /// Reads a response to this query; `None` if it is anything else.
    pub(super) fn response(&self, bytes: &[u8]) -> Option<Response> {
        let packet = Packet::parse(bytes).ok()?;
        let [question] = packet.questions.as_slice() else { return None };
        let is_mine = packet.id() == self.id
            && packet.has_flags(PacketFlag::RESPONSE)
            && question.qtype == TYPE::SRV.into()
            && question.qname.to_string().eq_ignore_ascii_case(&self.name);
        let records = packet.answers.iter().filter_map(|record| match &record.rdata {
            RData::SRV(srv) => Some(Srv {
                priority: srv.priority,
                weight: Reverse(srv.weight),
                target: format!("{}.", srv.target),
                port: srv.port,
            }),
            _ => None,
        });
        is_mine.then(|| Response {
            code: packet.rcode(),
            is_cut: packet.has_flags(PacketFlag::TRUNCATION),
            records: records.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::name_server::{record, reply};
    use super::*;

    #[test]
    fn other_bytes_are_no_response() {
        let query = Query::new("_a._tcp.x").unwrap();
        assert!(query.response(&query.bytes).is_none(), "a query is no response");
        let response = reply(&query.bytes, &[record("_a._tcp.x", "h.example", 1)], false);
        assert!(query.response(&response).is_some());
        for end in 0..response.len() {
            let _ = query.response(&response[..end]);
        }
        assert!(Query::new("_b._tcp.x").unwrap().response(&response).is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_response_panics(change in proptest::collection::vec((0_usize..100, 0_u8..), 1..20)) {
            let query = Query::new("_a._tcp.x").unwrap();
            let records = [record("_a._tcp.x", "h.example", 1), record("_a._tcp.x", "i.example", 2)];
            let mut response = reply(&query.bytes, &records, false);
            for (place, byte) in change {
                let place = place % response.len();
                response[place] = byte;
            }
            let _ = query.response(&response);
        }
    }
}
