//! When `QuotaLayer` reads ahead, and what the service sees then.

use std::sync::Arc;

use bytes::Bytes;
use ferretcd_interceptors::{Admit, QuotaConfig, QuotaLayer, Rejection};
use http::{Request, Response};
use parking_lot::Mutex;
use tonic::{Code, Status};
use tower::{Layer, Service, ServiceExt};
use tower_test::mock;

use crate::support::{PUT, TestBody, WATCH, begin, frames, message, read, request};

/// Weighs only puts; has no room for a message that says so.
#[derive(Default)]
struct Scales {
    weighed: Mutex<Vec<Bytes>>,
}

impl Admit for Scales {
    fn near_limit(&self, path: &str) -> bool {
        path == PUT.path()
    }

    fn admit(&self, path: &str, message: &Bytes) -> Result<(), Rejection> {
        assert_eq!(path, PUT.path());
        self.weighed.lock().push(message.clone());
        match &message[..] {
            b"heavy" => Err(Status::resource_exhausted("etcdserver: mvcc: database space exceeded").into()),
            _ => Ok(()),
        }
    }
}

const BYTES_MAX: usize = 20;

type Outcome = Result<Result<Bytes, &'static str>, Code>;

/// Sends one request through; returns what was weighed, and what the service read or how the call was rejected.
async fn pass(request: Request<TestBody>) -> (Vec<Bytes>, Outcome) {
    let scales = Arc::new(Scales::default());
    let layer = QuotaLayer::new(QuotaConfig { request_bytes_max: BYTES_MAX }, scales.clone());
    let read = Arc::new(Mutex::new(None));
    let seen = read.clone();
    let inner = tower::service_fn(move |request: Request<_>| {
        let seen = seen.clone();
        async move {
            *seen.lock() = Some(self::read(request.into_body()).await);
            Ok::<_, std::convert::Infallible>(Response::new(TestBody::default()))
        }
    });
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    let outcome = match Status::from_header_map(response.headers()) {
        Some(status) => Err(status.code()),
        None => Ok(read.lock().take().expect("the service was called")),
    };
    let weighed = scales.weighed.lock().clone();
    (weighed, outcome)
}

async fn check(data: Vec<Bytes>, weighed: &[&'static str], outcome: Outcome) {
    let expected = weighed.iter().copied().map(Bytes::from).collect();
    assert_eq!(pass(request(PUT, data)).await, (expected, outcome));
}

#[tokio::test]
async fn weighed_request_reaches_the_service_unchanged() {
    let light = message(b"light");
    check(vec![light.clone()], &["light"], Ok(Ok(light.clone()))).await;
    check(vec![light.slice(..2), light.slice(2..6), light.slice(6..)], &["light"], Ok(Ok(light))).await;
    check(vec![message(b"")], &[""], Ok(Ok(message(b"")))).await;
}

#[tokio::test]
async fn request_without_room_is_rejected() {
    check(vec![message(b"heavy")], &["heavy"], Err(Code::ResourceExhausted)).await;
}

#[tokio::test]
async fn request_that_cannot_be_weighed_reaches_the_service() {
    let large = message(&[b'x'; BYTES_MAX]);
    check(vec![large.slice(..9), large.slice(9..)], &[], Ok(Ok(large))).await;
    let truncated = message(b"light").slice(..7);
    check(vec![truncated.clone()], &[], Ok(Ok(truncated))).await;
    check(vec![], &[], Ok(Ok(Bytes::new()))).await;
    let broken = Request::post(PUT.path()).body(frames(vec![Ok(message(b"light")), Err("reset")], None));
    assert_eq!(pass(broken.unwrap()).await, (vec![], Ok(Err("reset"))));
}

#[tokio::test]
async fn message_that_just_fits_is_weighed() {
    let fitting = message(&[b'x'; BYTES_MAX - 5]);
    check(vec![fitting.clone()], &["xxxxxxxxxxxxxxx"], Ok(Ok(fitting))).await;
}

#[tokio::test]
async fn far_from_the_limit_nothing_is_weighed() {
    let heavy = message(b"heavy");
    assert_eq!(pass(request(WATCH, vec![heavy.clone()])).await, (vec![], Ok(Ok(heavy))));
}

#[tokio::test]
async fn service_that_was_ready_is_called() {
    let layer = QuotaLayer::new(QuotaConfig { request_bytes_max: BYTES_MAX }, Arc::new(Scales::default()));
    let (mut quota, mut handle) = mock::spawn_layer(layer);
    handle.allow(1);
    assert!(quota.poll_ready().is_ready());
    // Only the service that took the one place may be called; another would have to wait for a second.
    let call = begin(quota.get_mut().call(request(PUT, vec![message(b"light")]))).await;
    let (seen, respond) = handle.next_request().await.unwrap();
    let seen: Request<_> = seen;
    assert_eq!(read(seen.into_body()).await.unwrap(), message(b"light"));
    respond.send_response(Response::new(TestBody::default()));
    assert!(call.await.unwrap().headers().is_empty());
}
