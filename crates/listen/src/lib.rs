//! A port: accepting connections, TLS, HTTP and draining, over any tower service.
//!
//! * [`serve`] speaks HTTP/1 and HTTP/2 on each [`Endpoint`], a [`Listener`] with the services of its requests, as a
//!   [`Config`] says. A request finds its [`Connection`] among its extensions, and behind it the address and the
//!   certificate of the client. A [`Closer`] of it ends a client that does not take what it has requested.
//! * [`serve_connections`] is for other protocols: it accepts and decrypts, and hands each [`Accepted`] connection
//!   on.
//! * [`Drain`] ends both: it is given to the ports, and to services whose calls would go on for ever. [`Drain::close`]
//!   is for connections that take too long.
//! * [`discard`] is for services that respond without reading the request.
//! * [`bind`] makes the socket of a listener in the network, by the rules of Go's `net.Listen`; [`bind_unix`] makes one in
//!   the file system, and takes its file away in the end.
//!
//! It knows no service, no route and no gRPC. It retries nothing. A [`ConnectionLimit`] bounds the connections of the
//! listeners that have it.
//!
//! Invariants:
//! * A connection has one task. It writes to the socket once after each poll of the HTTP library, from a buffer with
//!   a bound, so a client that does not read holds up no other connection. It takes a bounded number of calls from the
//!   client before all other tasks get their turn, so neither does one that begins or gives up many at once.
//! * After [`Drain::begin`] no connection is accepted. Running calls end by themselves, at the drain timeout or at
//!   [`Drain::close`]. A port that has ended holds neither its services nor its sockets, nor their files.
//! * Bytes of the network never panic.
//!
//! ```text
//! hyper ◄── pings ◄── authorities ◄── [TLS] ◄──────────────────────────────────── socket
//! hyper ──► pings ──────────────────► [TLS] ──► buffer ──(after each poll of hyper)──► socket
//! ```
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! use ferretcd_listen::{Config, Connection, Drain, Endpoint, Listener, SocketOptions, bind, serve};
//! use http::{Request, Response};
//! use tower::service_fn;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let listener = Listener::plain(bind("127.0.0.1:0", SocketOptions::default())?);
//! let service = service_fn(|request: Request<_>| async move {
//!     let remote = Connection::remote(request.extensions());
//!     Ok::<_, Infallible>(Response::new(format!("hello {remote:?}")))
//! });
//! let config = Config {
//!     concurrent_streams_max: 1000,
//!     keepalive_interval: None,
//!     keepalive_timeout: Duration::from_secs(20),
//!     ping_interval_min: Duration::from_secs(5),
//!     drain_timeout: Duration::from_secs(5),
//! };
//! let drain = Drain::new();
//! let serving = tokio::spawn(serve(vec![Endpoint::new(listener, service)], config, drain.clone()));
//! drain.begin();
//! serving.await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bind;
mod socket_file;

mod accept;
mod accept_errors;
mod config;
mod drain;
mod encryption;
mod serve;
mod socket;

mod connection;
mod http;
mod limits;
mod unread;

mod authority;
mod call_budget;
mod coalesce;
mod open_body;
mod pings;
mod stream;
mod wake_coalescer;

pub use accept::{Accepted, ConnectionLimit, Listener};
pub use bind::{BindError, SocketOptions, bind};
pub use config::Config;
pub use connection::{Closer, Connection, RunningCall};
pub use drain::{Drain, DrainWatcher};
pub use serve::{Endpoint, serve, serve_connections};
pub use socket::{Address, Bound, Socket};
pub use socket_file::{BindUnixError, UnixSocket, bind_unix};
pub use stream::Stream;
pub use unread::discard;

/// Any error, as the HTTP library takes it.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
