//! A name server of the test's own, at the standard port.
//!
//! Programs run in a mount namespace in which `/etc/resolv.conf` names it, which needs root.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use ferretcd_tests::report;
use simple_dns::rdata::{A, RData, SRV};
use simple_dns::{CLASS, Name, Packet, QTYPE, RCODE, ResourceRecord, TYPE};

use crate::founder::take;

/// The records of the name server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zone {
    pub(crate) hosts: Vec<(String, Ipv4Addr)>,
    /// Service, host, port.
    pub(crate) services: Vec<(String, String, u16)>,
}

/// Serves a zone for as long as the test runs.
pub(crate) struct Names {
    address: Ipv4Addr,
    _taken: TcpListener,
}

impl Names {
    /// `None` if this machine does not allow it, which is reported.
    pub(crate) fn serve(zone: Zone) -> Option<Self> {
        let (address, taken) = take();
        let tried = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
        let is_allowed = tried.is_ok_and(|status| status.success());
        let Some(socket) = UdpSocket::bind((address, 53)).ok().filter(|_| is_allowed) else {
            report::skipped("SRV records", "become root, which mount namespaces and port 53 need");
            return None;
        };
        std::thread::spawn(move || {
            let mut query = [0; 1500];
            while let Ok((length, client)) = socket.recv_from(&mut query) {
                // The program may have ended meanwhile.
                let _ = socket.send_to(&zone.reply(&query[..length]), client);
            }
        });
        Some(Self { address, _taken: taken })
    }

    /// The words before a command that uses only this name server.
    pub(crate) fn prefix(&self, dir: &Path) -> Vec<String> {
        let file = dir.join("resolv.conf");
        fs::write(&file, format!("nameserver {}\n", self.address)).expect("there is room");
        let script = format!("mount --bind {} /etc/resolv.conf && exec \"$0\" \"$@\"", file.display());
        ["unshare", "--mount", "sh", "-c", &script].map(str::to_owned).to_vec()
    }
}

impl Zone {
    fn reply(&self, query: &[u8]) -> Vec<u8> {
        let query = Packet::parse(query).expect("programs ask in order");
        let question = query.questions[0].clone();
        let queried = question.qname.to_string();
        let mut reply = Packet::new_reply(query.id());
        let mut answer = |data| {
            let name = Name::new(&queried).expect("it was one").into_owned();
            reply.answers.push(ResourceRecord::new(name, CLASS::IN, 1, data));
        };
        if question.qtype == QTYPE::from(TYPE::A) {
            for (_, address) in self.hosts.iter().filter(|(host, _)| *host == queried) {
                answer(RData::A(A { address: (*address).into() }));
            }
        }
        if question.qtype == QTYPE::from(TYPE::SRV) {
            for (_, host, port) in self.services.iter().filter(|(service, ..)| *service == queried) {
                let target = Name::new(host).expect("it is a name");
                answer(RData::SRV(SRV { priority: 0, weight: 0, port: *port, target }));
            }
        }
        let is_known = self.hosts.iter().any(|(host, _)| *host == queried) || !reply.answers.is_empty();
        if !is_known {
            *reply.rcode_mut() = RCODE::NameError;
        }
        reply.questions.push(question);
        reply.build_bytes_vec_compressed().expect("it fits")
    }
}
