//! The watching clients against a server made with the `h2` crate, which is strict about the protocol.

use bytes::{Bytes, BytesMut};
use ferretcd_api_proto::etcdserverpb::{ResponseHeader, WatchRequest, WatchResponse, watch_request};
use ferretcd_api_proto::mvccpb;
use h2::SendStream;
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::*;
use crate::requests::key;

/// What the server sends to each watcher after it has confirmed it: versions of its key, or revisions.
type Events = &'static [i64];

/// A server that confirms watchers and sends events. The first item of a message is the watch.
fn serve(n_streams_max: u32, subject: Subject, places: Events) -> (SocketAddr, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(converse(socket, n_streams_max, subject, places));
        }
    });
    (address, runtime)
}

async fn converse(socket: TcpStream, n_streams_max: u32, subject: Subject, places: Events) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(n_streams_max);
    let mut connection = builder.handshake::<_, Bytes>(socket).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        assert_eq!(request.uri().path(), "/etcdserverpb.Watch/Watch");
        let head = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let mut responses = respond.send_response(head, false).unwrap();
        let mut body = request.into_body();
        tokio::spawn(async move {
            let mut bytes = BytesMut::new();
            while let Some(data) = body.data().await {
                let Ok(data) = data else { return };
                body.flow_control().release_capacity(data.len()).unwrap();
                bytes.extend_from_slice(&data);
                while let Some(length) = bytes.get(1..5) {
                    let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
                    if bytes.len() < 5 + length {
                        break;
                    }
                    let message = bytes.split_to(5 + length);
                    create(&mut responses, &WatchRequest::decode(&message[5..]).unwrap(), subject, places);
                }
            }
        });
    }
}

fn create(responses: &mut SendStream<Bytes>, request: &WatchRequest, subject: Subject, places: Events) {
    let Some(watch_request::RequestUnion::CreateRequest(request)) = &request.request_union else {
        panic!("{request:?}");
    };
    let watch_id = request.watch_id;
    send(responses, &WatchResponse { watch_id, created: true, ..WatchResponse::default() });
    let everything = subject == Subject::Everything;
    let events = places.iter().map(|place| {
        let kv = mvccpb::KeyValue {
            key: if everything { key(*place as u64).into() } else { request.key.clone() },
            version: if everything { 1 } else { *place },
            mod_revision: *place,
            value: vec![b'v'; 20_000].into(),
            ..mvccpb::KeyValue::default()
        };
        mvccpb::Event { kv: Some(kv.into()), ..mvccpb::Event::default() }
    });
    let header = Some(ResponseHeader { revision: 9, ..ResponseHeader::default() });
    let events: Vec<mvccpb::Event> = events.collect();
    if !events.is_empty() {
        send(responses, &WatchResponse { header, watch_id, events, ..WatchResponse::default() });
    }
}

fn send(responses: &mut SendStream<Bytes>, response: &WatchResponse) {
    let mut message = vec![0];
    message.extend_from_slice(&u32::try_from(response.encoded_len()).unwrap().to_be_bytes());
    response.encode(&mut message).unwrap();
    responses.send_data(message.into(), false).unwrap();
}

fn plan(subject: Subject, reading: Reading) -> Plan {
    Plan {
        protocol: Protocol::Grpc,
        connections: 3,
        streams: 8,
        watches: 5,
        subject,
        start_revision: 4,
        reading,
    }
}

#[test]
fn every_watcher_is_created_and_gets_its_events() {
    const SECOND: Duration = Duration::from_secs(1);
    for subject in [Subject::OneKey, Subject::OwnKey, Subject::Everything] {
        let (address, _runtime) = serve(100, subject, &[4, 5, 6]);
        let mut watchers = Watchers::open(address, &plan(subject, Reading::Always)).unwrap();
        watchers.await_created().unwrap();
        let waited = watchers.until(60 * SECOND, 60 * SECOND, |tally| tally.n_events() == 120).unwrap();
        assert_eq!((waited, watchers.tally().fault()), (Waited::Done, None), "{subject:?}");
        assert!(watchers.received() > 120 * 20_000);
    }
}

#[test]
fn gaps_are_found() {
    let (address, _runtime) = serve(100, Subject::OneKey, &[4, 6]);
    let mut watchers = Watchers::open(address, &plan(Subject::OneKey, Reading::Always)).unwrap();
    let minute = Duration::from_secs(60);
    let waited = watchers.until(minute, minute, |tally| tally.n_events() == 80).unwrap();
    assert_eq!(waited, Waited::Done);
    assert!(watchers.tally().fault().unwrap().contains("got 6 where 5 comes next"));
}

#[test]
fn streams_that_are_not_read_take_what_the_protocol_begins_with() {
    let (address, _runtime) = serve(100, Subject::Everything, &[4, 5, 6]);
    let plan = Plan { watches: 1, ..plan(Subject::Everything, Reading::Never) };
    let mut watchers = Watchers::open(address, &plan).unwrap();
    watchers.await_created().unwrap();
    // 60 KB of events and a confirmation fit into the window, with a second watch on the stream they do not.
    let minute = Duration::from_secs(60);
    let waited = watchers.until(minute, minute, |tally| tally.n_events() == 3 * 8).unwrap();
    assert_eq!(waited, Waited::Done);

    let plan = Plan { watches: 2, ..plan };
    let mut watchers = Watchers::open(address, &plan).unwrap();
    assert_eq!(watchers.until(minute, minute, |tally| tally.n_events() == 3 * 8).unwrap(), Waited::Done);
    let waited = watchers.until(minute, Duration::from_millis(100), |_| false).unwrap();
    assert_eq!((waited, watchers.tally().n_events()), (Waited::Quiet, 3 * 8));
}

#[test]
fn too_few_allowed_streams_are_reported() {
    let (address, _runtime) = serve(2, Subject::OneKey, &[]);
    let result = Watchers::open(address, &plan(Subject::OneKey, Reading::Always));
    assert!(result.is_err_and(|error| error.to_string().contains("allows 2 streams")));
}
