//! JSON over HTTP in front of gRPC services, by their descriptors.
//!
//! A [`Gateway`] is made of a descriptor set whose methods have `google.api.http` annotations. It turns an HTTP request on
//! one of their paths into a gRPC call of any tower service in the same process, and the response into JSON: the mapping
//! of proto3, with the paths, statuses and texts of etcd's own gateway (grpc-gateway 2.29 and Go's protojson). No message
//! type is known here, and no call goes through a socket.
//!
//! ```text
//!                 ┌─ schema: paths, fields, names ─┐
//! POST /v3/kv/put │  scanner ─► tokens ─► decode   │ ─► gRPC message ─► service
//! JSON text   ◄── │            encode ◄─ pieces    │ ◄─ gRPC message ◄──┘
//! ```
//!
//! [`Upgrade::of`] recognises the handshake of a WebSocket; [`Gateway::serve_websocket`] serves the socket.
//!
//! Invariants:
//! * A unary request is read whole and bounded by [`Config::request_bytes_max`]; streamed requests are read one by one, each
//!   with that bound, when the service reads them.
//! * Responses are written while they arrive. Of each no more is kept than one value that is not whole, and the first 64 KiB
//!   of a unary one, so that an error can still become its status.
//! * Whatever the bytes of a request, it gets a response; none of them reaches the service unless it is a message.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use ferretcd_gateway::{Config, Gateway, GrpcBody};
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::service_fn;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let config = Config { request_bytes_max: 1 << 20 };
//! let gateway = Gateway::new(ferretcd_api_proto::FILE_DESCRIPTOR_SET, config)?;
//! // A service that responds with `succeeded: true` to all calls, without a look at them.
//! let service = service_fn(|call: Request<GrpcBody>| async move {
//!     assert_eq!(call.uri().path(), "/etcdserverpb.KV/Txn");
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(&[0, 0, 0, 0, 2, 0x10, 1]))))
//! });
//! let request = Request::post("/v3/kv/txn").body(Full::new(Bytes::from("{}")))?;
//! let response = gateway.call(request, service).await;
//! let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
//! assert_eq!(body.to_bytes(), r#"{"succeeded":true}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fault;
mod integers;
mod json;
mod schema;

mod decode;
mod encode;

mod metadata;
mod request;
mod response;
mod status;

mod call;
mod websocket;

/// What stands before a message of gRPC: a byte that says whether it is compressed, and four with its length.
const PREFIX_BYTES: usize = 5;

/// The error of a body, whatever it is.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub use call::{Config, Gateway};
pub use request::GrpcBody;
pub use response::JsonBody;
pub use schema::SchemaError;
pub use websocket::Upgrade;
