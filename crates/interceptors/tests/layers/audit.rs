//! The lines that `AuditLayer` writes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use ferretcd_interceptors::{
    AuditConfig, AuditLayer, AuditSink, AuditTrail, AuditUsers, Describe, Note, Subject,
};
use http::{Extensions, HeaderValue, Request, Response};
use parking_lot::Mutex;
use tonic::Code;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{PUT, RPCS, TestBody, WATCH, begin, frames, message, read, request, response, status};

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl AuditSink for Lines {
    fn write(&self, members: &str) {
        // The one member that differs from run to run.
        self.0.lock().push(members.split(r#","duration""#).next().unwrap_or_default().to_owned());
    }
}

/// The token is the name.
struct Users;

impl AuditUsers for Users {
    fn user(&self, token: &Bytes) -> Option<Arc<str>> {
        std::str::from_utf8(token).ok().map(Arc::from)
    }
}

struct Message;

impl Describe for Message {
    fn subject(&self, subject: &mut Subject) {
        subject.range(b"k", b"");
    }
}

fn remote(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get().copied()
}

fn certificate(extensions: &Extensions) -> Option<Arc<str>> {
    extensions.get().cloned()
}

fn layer() -> (AuditLayer, Arc<Lines>) {
    let lines = Arc::new(Lines::default());
    let config = AuditConfig {
        rpcs: RPCS,
        remote,
        certificate,
        quote: |text, bytes| text.push_str(&String::from_utf8_lossy(bytes)),
    };
    (AuditLayer::new(config, Arc::new(Users), Arc::clone(&lines) as Arc<dyn AuditSink>), lines)
}

/// The lines of one call whose handler does this.
async fn lines_of(call: Request<TestBody>, handle: fn(&Extensions) -> Response<TestBody>) -> Vec<String> {
    let (layer, lines) = layer();
    let inner =
        service_fn(async |request: Request<TestBody>| Ok::<_, Infallible>(handle(request.extensions())));
    let response = layer.layer(inner).oneshot(call).await.unwrap();
    read(response.into_body()).await.unwrap();
    lines.0.lock().clone()
}

const HEADER: &[u8] = b"\x0a\x02\x18\x07";

#[tokio::test]
async fn call_has_its_caller_keys_code_and_revision() {
    let mut call = request(PUT, vec![]);
    call.extensions_mut().insert(SocketAddr::from(([10, 0, 0, 7], 4711)));
    call.extensions_mut().insert(Arc::<str>::from("client-1"));
    call.headers_mut().insert("token", HeaderValue::from_static("alice"));
    let lines = lines_of(call, |extensions| {
        Note::of(extensions).expect("the layer wants one").fill(Message);
        Response::new(response(HEADER))
    });
    let expected = concat!(
        r#""user":"alice","certificate":"client-1","remote":"10.0.0.7:4711","method":"/etcdserverpb.KV/Put","#,
        r#""key":"k","code":"OK","revision":7"#
    );
    assert_eq!(lines.await, [expected]);
}

#[tokio::test]
async fn rejected_calls_have_a_line_whatever_they_are() {
    for rpc in [PUT, WATCH] {
        let mut call = request(rpc, vec![]);
        call.headers_mut().insert("token", HeaderValue::from_static("not-alice"));
        let lines = lines_of(call, |_| {
            let mut response = Response::new(frames(vec![], None));
            *response.headers_mut() = status("16");
            response
        });
        let expected =
            format!(r#""user":"","remote":"@","method":"{}","code":"Unauthenticated""#, rpc.path());
        assert_eq!(lines.await, [expected]);
    }
}

#[tokio::test]
async fn streams_are_audited_by_their_messages() {
    let mut call = request(WATCH, vec![]);
    call.headers_mut().insert("token", HeaderValue::from_static("bob"));
    let lines = lines_of(call, |extensions| {
        let trail = AuditTrail::of(extensions).expect("the client sends a stream");
        trail.write(&Message, Code::Ok, |subject| subject.number("watch_id", 3));
        Response::new(frames(vec![Ok(message(HEADER))], Some(status("0"))))
    });
    let expected = r#""user":"bob","remote":"@","method":"/etcdserverpb.Watch/Watch","key":"k","code":"OK","watch_id":3"#;
    assert_eq!(lines.await, [expected]);
}

#[tokio::test]
async fn call_given_up_by_the_client_has_a_line() {
    let (layer, lines) = layer();
    let stuck = service_fn(|_: Request<_>| std::future::pending::<Result<Response<TestBody>, Infallible>>());
    drop(begin(layer.layer(stuck).oneshot(request(PUT, vec![]))).await);
    let expected = r#""user":"","remote":"@","method":"/etcdserverpb.KV/Put","code":"Canceled""#;
    assert_eq!(*lines.0.lock(), [expected]);
}
