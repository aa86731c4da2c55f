//! Calls are served whatever they name as their authority, and however they spell it.

use ferretcd_grpc_server::Exposure;

use crate::frames::*;
use crate::support::*;

const AUTHORITIES: [&str; 12] = [
    "127.0.0.1:2379",
    "http://127.0.0.1:2379",
    "https://a.example:2379/",
    "127.0.0.1:2379,127.0.0.1:22379",
    "ipv4:127.0.0.1:2379,127.0.0.1:1",
    "unix:///var/run/etcd.sock",
    "/var/run/etcd.sock",
    "%2Fetcd.sock",
    "#initially=[127.0.0.1:2379]",
    "h\u{f6}st:2379",
    "a b\u{1}",
    "",
];
/// `http://a` in Huffman's code.
const HUFFMAN: &[u8] = &[0x86, 0x9d, 0x29, 0xae, 0xe3, 0x0c, 0x0f];

#[tokio::test]
async fn calls_are_served_under_every_authority() {
    let served = Served::start().await;
    let mut client = RawClient::connect(served.address).await;
    let message = frame(&range("a"));
    let rest = fields(RANGE);
    let mut check = async |what: &str, block: &[u8]| {
        let answer = client.call(block, &message).await;
        assert!(answer.is_served(), "{what}: {answer:x?}, {:?}", client.goaway);
    };
    check("none", &rest).await;
    check("that of the static table", &[&[0x81], &rest[..]].concat()).await;
    for authority in AUTHORITIES {
        let value = text(authority.as_bytes());
        let spelled = [&[0x00], &text(b":authority")[..], &value].concat();
        // By number: not to be remembered, never, to be; by name, the same.
        for (what, field) in [
            ("plain", [&[0x01], &value[..]].concat()),
            ("never remembered", [&[0x11], &value[..]].concat()),
            ("remembered", [&[0x41], &value[..]].concat()),
            ("spelled", spelled.clone()),
            ("spelled, never remembered", [&[0x10], &spelled[1..]].concat()),
            ("spelled, remembered", [&[0x40], &spelled[1..]].concat()),
        ] {
            check(&format!("{what} {authority:?}"), &[&field[..], &rest].concat()).await;
            check(
                &format!("{what} {authority:?} last"),
                &[&rest[..3], &rest[3..4 + RANGE.len()], &field, &rest[4 + RANGE.len()..]].concat(),
            )
            .await;
        }
        // The newest of the table, by its number, and its name alone.
        check(&format!("{authority:?} by number"), &[&[0xbe], &rest[..]].concat()).await;
        check(&format!("{authority:?} by name"), &[&[0x0f, 0x2f], &value[..], &rest].concat()).await;
    }
    check("in Huffman's code", &[&[0x41], HUFFMAN, &rest].concat()).await;
    check("in Huffman's code, by number", &[&[0xbe], &rest[..]].concat()).await;
    // The table becomes empty, and gets room again.
    check("behind new sizes of the table", &[&[0x20, 0x3f, 0xe1, 0x1f, 0x41], HUFFMAN, &rest].concat()).await;
}

#[tokio::test]
async fn the_first_odd_authority_may_come_late() {
    let served = Served::start().await;
    let message = frame(&range("a"));
    let rest = fields(RANGE);
    let good = [&[0x41], &text(b"127.0.0.1:2379")[..], &rest].concat();
    let by_number = [&[0xbe], &rest[..]].concat();
    let bad = [&[0x41], &text(b"http://a/")[..], &rest].concat();
    let older_by_number = [&[0xbf], &rest[..]].concat();
    let mut client = RawClient::connect(served.address).await;
    for block in [&good, &by_number, &by_number, &bad, &by_number, &older_by_number, &good, &by_number] {
        assert!(client.call(block, &message).await.is_served(), "{block:x?}");
    }
}

#[tokio::test]
async fn blocks_may_be_spread_padded_and_weighted() {
    let served = Served::start().await;
    let message = frame(&range("a"));
    let block = [&[0x41], &text(b"http://a/")[..], &fields(RANGE)].concat();
    let mut client = RawClient::connect(served.address).await;
    for at in [0, 1, 2, 5, 11, 30, block.len()] {
        let padded = [&[2, 0, 0, 0, 0, 9], &block[..at], &[0; 2]].concat();
        let frames = [
            (HEADERS, 0x08 | 0x20, padded),
            (CONTINUATION, 0, vec![]),
            (CONTINUATION, END_HEADERS, block[at..].to_vec()),
        ];
        let answer = client.call_in_frames(&frames, &message).await;
        assert!(answer.is_served(), "{at}: {answer:x?}");
    }
}

/// Over HTTP/2 as well the list is asked about what the client has named.
#[tokio::test]
async fn odd_authorities_are_on_no_list_of_hosts() {
    let pages = ferretcd_http_pages::Config {
        cors: vec![],
        host_whitelist: vec!["server".into()],
        read_timeout: PATIENCE,
        debug: Default::default(),
    };
    let served = Served::start_with_pages(config(), port_config(), pages).await;
    let http = served.also_exposing(Exposure::Http).await;
    for address in [served.address, http] {
        let mut client = RawClient::connect(address).await;
        let mut check = async |authority: &str, host: Option<&str>, is_allowed: bool| {
            let mut block =
                [&[0x82, 0x86, 0x04], &text(b"/version")[..], &[0x41], &text(authority.as_bytes())].concat();
            if let Some(host) = host {
                block.extend([&[0x0f, 0x17], &text(host.as_bytes())[..]].concat());
            }
            let answer = client.call(&block, &[]).await;
            let is_served = answer.data.starts_with(b"{\"etcdserver\"");
            assert_eq!(is_served, is_allowed, "{authority:?} {host:?}: {answer:x?}");
        };
        check("server", None, true).await;
        check("server:2379", Some("page.example"), true).await;
        check("page.example", Some("server"), false).await;
        for odd in ["http://server", "server,server", "server/", "/server", "ser ver"] {
            check(odd, None, false).await;
            check(odd, Some("server"), false).await;
        }
        check("", Some("server"), true).await;
        check("", Some("page.example"), false).await;
    }
}
