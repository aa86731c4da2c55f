use bytes::Bytes;
use ferretcd_interceptors::{Rpc, RpcKind};
pub(crate) use ferretcd_testkit::grpc::frame as message;
use http::{HeaderMap, HeaderValue, Request};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};

pub(crate) const PUT: Rpc = Rpc::new("/etcdserverpb.KV/Put", RpcKind::Unary);
pub(crate) const WATCH: Rpc = Rpc::new("/etcdserverpb.Watch/Watch", RpcKind::BidiStream);
pub(crate) const RPCS: &[Rpc] = &[PUT, WATCH];

/// A body of given frames; its default is an empty one.
pub(crate) type TestBody = UnsyncBoxBody<Bytes, &'static str>;

/// A body of `data`, then `trailers`.
pub(crate) fn frames(data: Vec<Result<Bytes, &'static str>>, trailers: Option<HeaderMap>) -> TestBody {
    let data = data.into_iter().map(|bytes| bytes.map(Frame::data));
    let trailers = trailers.into_iter().map(|trailers| Ok(Frame::trailers(trailers)));
    let frames: Vec<_> = data.chain(trailers).collect();
    StreamBody::new(tokio_stream::iter(frames)).boxed_unsync()
}

/// The response of a successful unary call.
pub(crate) fn response(payload: &[u8]) -> TestBody {
    frames(vec![Ok(message(payload))], Some(status("0")))
}

/// Trailers with the number of a status.
pub(crate) fn status(code: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static(code))])
}

pub(crate) fn request(rpc: Rpc, data: Vec<Bytes>) -> Request<TestBody> {
    Request::post(rpc.path()).body(frames(data.into_iter().map(Ok).collect(), None)).unwrap()
}

/// Reads a body to its end.
pub(crate) async fn read<B: Body<Data = Bytes>>(body: B) -> Result<Bytes, B::Error> {
    Ok(body.collect().await?.to_bytes())
}

/// Polls a future once, so that what it calls has begun.
pub(crate) async fn begin<F: Future>(future: F) -> std::pin::Pin<Box<F>> {
    let mut future = Box::pin(future);
    std::future::poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending(), "the call has ended already");
        std::task::Poll::Ready(())
    })
    .await;
    future
}
