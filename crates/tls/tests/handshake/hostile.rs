//! Any bytes lead to a result and to no panic.

use std::fs;

use data_encoding::BASE64;
use ferretcd_testkit::certificates::{Authority, pem};
use ferretcd_tls::{KeyFiles, ServerConfig, ServerTls};
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::io::AsyncWriteExt;

use crate::support::{alice, mutual_server, remote, server, sign};

/// Changes some bytes, or cuts some off.
fn damage(mut bytes: Vec<u8>, changes: &[(Index, u8)], cut: Option<Index>) -> Vec<u8> {
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    if let Some(at) = cut {
        bytes.truncate(at.index(bytes.len()));
    }
    bytes
}

fn changes() -> impl Strategy<Value = (Vec<(Index, u8)>, Option<Index>)> {
    (prop::collection::vec(any::<(Index, u8)>(), 0..4), prop::option::weighted(0.2, any::<Index>()))
}

#[test]
fn damaged_files() {
    let authority = Authority::named("ca");
    let files = sign(&authority, "good", alice());
    let read = |path| fs::read(path).expect("read");
    let (cert, key, ca) = (read(&files.cert), read(&files.key), read(&authority.certificate()));
    let list = authority.revoked(&[1, 2, 3]);
    let list_pem = pem("X509 CRL", &list).into_bytes();
    let config = mutual_server(&authority);
    let at = |name: &str| authority.dir().join(name);
    // The same damage to the bytes that are in the base64.
    let inner = inside(&cert);
    proptest!(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }, |(
        (which, (changes, cut)) in (0..6_usize, changes()),
    )| {
        let good = [&cert, &key, &ca, &list, &list_pem, &inner][which];
        let bad = damage(good.clone(), &changes, cut);
        let bad = if which == 5 { pem("CERTIFICATE", &bad).into_bytes() } else { bad };
        fs::write(at("bad"), bad).expect("written");
        let config = match which {
            0 | 5 => ServerConfig { files: KeyFiles { cert: at("bad"), ..files.clone() }, ..config.clone() },
            1 => ServerConfig { files: KeyFiles { key: at("bad"), ..files.clone() }, ..config.clone() },
            2 => ServerConfig { trusted_ca: Some(at("bad")), ..config.clone() },
            _ => ServerConfig { revoked: Some(at("bad")), ..config.clone() },
        };
        // Damage that changes nothing is accepted.
        if let Err(error) = ServerTls::load(config) {
            prop_assert!(error.to_string().contains("bad"), "{}", error);
        }
    });
}

/// What is in the one section of a PEM file.
fn inside(pem: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(pem);
    let body: String = text.lines().filter(|line| !line.starts_with("---")).collect();
    BASE64.decode(body.as_bytes()).expect("base64")
}

#[test]
fn bytes_that_are_no_handshake() {
    let authority = Authority::named("ca");
    let server = ServerTls::load(server(&authority)).expect("good files");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    proptest!(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }, |(
        begins_well in any::<bool>(),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    )| {
        let head: &[u8] = if begins_well { &[0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3] } else { &[] };
        let accepted = runtime.block_on(async {
            let (mut near, far) = tokio::io::duplex(64 * 1024);
            near.write_all(&[head, &rest].concat()).await.expect("there is room");
            drop(near);
            server.accept(far, remote()).await.map(drop)
        });
        prop_assert!(accepted.is_err());
    });
}
