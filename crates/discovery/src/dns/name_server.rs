//! A name server for tests.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use simple_dns::rdata::{RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};

/// A name server with records `(name, target, port)`, until the test process ends.
pub(crate) fn serve(records: Vec<(String, String, u16)>, is_cut: bool) -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(server).unwrap();
    let records = Arc::new(records);
    let by_stream = Arc::clone(&records);
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, client)) = udp.recv_from(&mut query) {
            let response = reply(&query[..length], &records, is_cut);
            // First a datagram as another sender might forge it.
            udp.send_to(b"?", client).unwrap();
            let mut forged = response.clone();
            forged[0] ^= 1;
            udp.send_to(&forged, client).unwrap();
            udp.send_to(&response, client).unwrap();
        }
    });
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = tcp.accept() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut query).unwrap();
            let response = reply(&query, &by_stream, false);
            stream.write_all(&u16::try_from(response.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&response).unwrap();
        }
    });
    server
}

pub(super) fn reply(query: &[u8], records: &[(String, String, u16)], is_cut: bool) -> Vec<u8> {
    let query = Packet::parse(query).unwrap();
    let mut reply = Packet::new_reply(query.id());
    let name = query.questions[0].qname.to_string();
    reply.questions = query.questions.clone();
    let found: Vec<_> = records.iter().filter(|(owner, ..)| *owner == name).collect();
    if name.starts_with("broken.") {
        *reply.rcode_mut() = RCODE::ServerFailure;
    } else if found.is_empty() {
        *reply.rcode_mut() = RCODE::NameError;
    }
    if is_cut {
        reply.set_flags(PacketFlag::TRUNCATION);
        return reply.build_bytes_vec().unwrap();
    }
    for (_, target, port) in found {
        let target = Name::new(target).unwrap();
        let srv = SRV { priority: port % 10, weight: 1, port: *port, target };
        let owner = Name::new(&name).unwrap().into_owned();
        reply.answers.push(ResourceRecord::new(owner, CLASS::IN, 60, RData::SRV(srv)));
    }
    reply.build_bytes_vec_compressed().unwrap()
}

pub(crate) fn record(name: &str, target: &str, port: u16) -> (String, String, u16) {
    (name.to_owned(), target.to_owned(), port)
}
