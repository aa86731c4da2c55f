//! One process with two ports, HTTP on one and a protocol of its own on the other, that stop together.
//!
//! `cargo run -p ferretcd-listen --example two_ports`

use std::convert::Infallible;
use std::error::Error;
use std::io::{Write as _, stdout};
use std::net::SocketAddr;
use std::time::Duration;

use ferretcd_listen::{
    Accepted, Config, Connection, Drain, Endpoint, Listener, Socket, SocketOptions, bind, serve,
    serve_connections,
};
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::service_fn;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let port = || bind("127.0.0.1:0", SocketOptions::default());
    let (web, time) = (port()?, port()?);
    let (web_address, time_address) = (web.local_addr()?, time.local_addr()?);
    let config = Config {
        concurrent_streams_max: 100,
        keepalive_interval: None,
        ping_interval_min: Duration::from_secs(5),
        keepalive_timeout: Duration::from_secs(20),
        drain_timeout: Duration::from_secs(5),
    };
    let hello = service_fn(|request: Request<_>| async move {
        let is_local =
            Connection::remote(request.extensions()).is_some_and(|remote| remote.ip().is_loopback());
        Ok::<_, Infallible>(Response::new(format!("from here: {is_local}")))
    });
    let drain = Drain::new();
    let endpoints = vec![Endpoint::new(Listener::plain(web), hello)];
    let serving_web = tokio::spawn(serve(endpoints, config, drain.clone()));
    let tell_time = |mut connection: Accepted<Socket>| async move {
        // A client that is gone does not need the time.
        let _ = connection.stream.write_all(b"noon").await;
        let _ = connection.stream.shutdown().await;
    };
    let serving_time = tokio::spawn(serve_connections(vec![Listener::plain(time)], tell_time, drain.clone()));

    let page = read(web_address, "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let time = read(time_address, "").await?;
    let body = page.lines().last().unwrap_or_default();
    writeln!(stdout(), "{body}; it is {time}")?;
    assert_eq!((body, time.as_str()), ("from here: true", "noon"));

    drain.begin();
    serving_web.await?;
    serving_time.await?;
    assert!(TcpStream::connect(web_address).await.is_err());
    Ok(())
}

/// Sends a request, if there is one, and reads to the end.
async fn read(address: SocketAddr, request: &str) -> Result<String, Box<dyn Error>> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    socket.read_to_string(&mut response).await?;
    Ok(response)
}
