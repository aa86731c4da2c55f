//! The limits of the HTTP libraries, each set on purpose.
//!
//! The measure is what etcd serves with: grpc-go on a port in the clear, Go's `net/http` above TLS. What is too much in one
//! call ends that call alone; where a library ends the connection instead, the limit is out of reach of a client that
//! means well.
//!
//! | limit | grpc-go | net/http | here |
//! |---|---|---|---|
//! | list of header fields, HTTP/2 | 16 MiB | 1 MiB | 16 MiB, then status 431 |
//! | the same as it is sent | twice that, then GOAWAY | the same | 20 MiB, then GOAWAY |
//! | different names in a list | | | 24,576, then 431: a bound of the crate `http` |
//! | length of a path and of a name | | | 64 KiB: a bound of the crate `http`, not to be set |
//! | head of a request, HTTP/1 | | 1 MiB and 4 KiB, then 431 | the same |
//! | fields of a head, HTTP/1 | | none | 1000, then 431 |
//! | time for a head, HTTP/1, once its first byte is there | | 5 min in etcd | 5 min |
//! | payload of a frame that is received | 16 KiB | 1 MiB | 16 KiB |
//! | memory of compressed fields | 4 KiB | 4 KiB | 4 KiB |
//! | streams of a connection | `--max-concurrent-streams` | the same | the same |
//! | window of a stream and a connection | 64 KiB, grown to 16 MiB | 1 MiB | 1 MiB, 8 MiB |
//! | streams given up before they began | none | `--max-concurrent-streams` | 4096 at once, then GOAWAY |
//! | faulty streams of a connection | none | none | none |
//! | small DATA frames that are not yet taken | none | none | one a KiB of the connection's window or so, then GOAWAY: h2's own |
//! | messages of gRPC | `--max-request-bytes` and 512 KiB | | the same, in `grpc-server` |
//! | silence, and the response to a ping | `--grpc-keepalive-*` | | the same |
//! | pings of a client | `--grpc-keepalive-min-time`, then GOAWAY | none | the same |

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;

use crate::Config;

/// The fields of a call over HTTP/2, in bytes, each with 32 for itself (RFC 9113, 6.5.2).
pub(crate) const HEADER_LIST_BYTES_MAX: u32 = 16 << 20;
/// The same as they are sent, in all of their frames. The HTTP/2 library takes a quarter more frames than a list of the
/// largest size needs.
pub(crate) const HEADER_BLOCK_BYTES_MAX: usize = HEADER_LIST_BYTES_MAX as usize / 4 * 5;

/// The largest payload of a frame that is received: the least that a server may set.
pub(crate) const FRAME_BYTES_MAX: u32 = 16 << 10;

/// What one stream may receive before the reader has taken it, in bytes.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The same for all streams of a connection. The HTTP/2 library derives from it how many small frames may wait,
/// and breaks the connection when there are more: it must be enough for a client that sends some thousand
/// requests on a watch stream without waiting for responses.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Bytes of one response that wait in the HTTP/2 library above which it polls for no more of it. Pieces are
/// taken whole, so only streams notice: what they leave unsent stays where it is shared.
const SEND_BUFFER_BYTES: usize = 16 << 10;

/// Calls of a connection that were given up before they were begun, at once. Clients give up calls in bursts, for
/// example when a request of many parts is cancelled; more looks like an attack.
const RESET_STREAMS_MAX: usize = 4096;

/// Streams that the HTTP/2 library has reset because of the client's faults, in the whole life of a connection. There is
/// no bound: such a stream costs no more than one that is served, and nothing of it is left after a second.
const FAULTY_STREAMS_MAX: Option<usize> = None;

/// The head of a request over HTTP/1, in bytes; with the 4 KiB that Go adds for its buffer.
const HEAD_BYTES_MAX: usize = (1 << 20) + (4 << 10);
/// The fields of such a head. The HTTP library prepares memory for all of them at each request: for eight times as many
/// that alone takes 0.2 ms. 24,576 are its most.
const HEAD_FIELDS_MAX: usize = 1000;
/// How long such a head may take, and how long a connection may be idle before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The HTTP server of a connection.
pub(crate) fn http(config: &Config) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEAD_FIELDS_MAX)
        // Go's servers write Content-Type, and scripts look for that.
        .title_case_headers(true)
        .header_read_timeout(HEAD_TIMEOUT);
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_concurrent_streams(config.concurrent_streams_max)
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_local_error_reset_streams(FAULTY_STREAMS_MAX)
        .keep_alive_interval(config.keepalive_interval)
        .keep_alive_timeout(config.keepalive_timeout);
    http
}
