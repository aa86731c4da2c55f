//! JSON to gRPC and back, without a server: prints the bytes that a service gets, and what its response becomes.

#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::convert::Infallible;

use bytes::Bytes;
use ferretcd_gateway::{Config, Gateway, GrpcBody};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::service_fn;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gateway =
        Gateway::new(ferretcd_api_proto::FILE_DESCRIPTOR_SET, Config { request_bytes_max: 1 << 20 })?;
    let service = service_fn(|call: Request<GrpcBody>| async move {
        println!("called: {}", call.uri());
        let message = call.into_body().collect().await.expect("it is in memory").to_bytes();
        println!("message: {}", message[5..].escape_ascii());
        // A RangeResponse with `count: 7`.
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(&[0, 0, 0, 0, 2, 0x20, 7]))))
    });
    for (path, json) in
        [("/v3/kv/range", r#"{"key":"Zm9v","limit":"10"}"#), ("/v3/kv/range", "{"), ("/v3/kv", "{}")]
    {
        println!("\nPOST {path} {json}");
        let request = Request::post(path).body(Full::new(Bytes::from(json)))?;
        let response = gateway.call(request, service).await;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        println!("{status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}
