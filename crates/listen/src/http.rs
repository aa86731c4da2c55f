//! HTTP on one connection.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ferretcd_tls::{Remote, ServerTls};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tower::{Service, ServiceExt as _};

use crate::accept::Accepted;
use crate::authority::Corrected;
use crate::call_budget::{Backlog, CallBudget, after_all_others};
use crate::coalesce::{CoalescedStream, Flush, Turn};
use crate::connection::Connection;
use crate::open_body::OpenBody;
use crate::pings::Paced;
use crate::socket::Socket;
use crate::wake_coalescer::WakeCoalescer;
use crate::{BoxError, Config, Drain, limits};

/// What the connections of an endpoint have in common.
#[derive(Clone, Debug)]
pub(crate) struct Http<S> {
    pub(crate) service: S,
    pub(crate) config: Config,
    pub(crate) drain: Drain,
    pub(crate) backlog: Backlog,
    /// Whether the bound of the configuration on pings holds.
    pub(crate) limits_pings: bool,
}

impl<S, B> Http<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// Serves a connection from its handshake to its end.
    pub(crate) async fn serve(
        self,
        socket: Socket,
        remote: Option<SocketAddr>,
        tls: Option<ServerTls>,
    ) -> Result<(), BoxError> {
        let server = socket.server();
        let is_local = socket.is_local();
        let (stream, flush) = CoalescedStream::new(socket)?;
        let opened = tokio::select! {
            // Without a handshake the connection is open at once, and then gets its GOAWAY.
            biased;
            opened = open(stream, &flush, remote, tls.as_ref()) => opened?,
            // The client has not sent a request yet.
            () = self.drain.begun() => return Ok(()),
        };
        match opened {
            Some(accepted) => self.serve_requests(accepted, server, is_local, flush).await,
            None => Ok(()),
        }
    }

    /// Serves the requests of a connection, until it is over.
    async fn serve_requests(
        self,
        Accepted { stream, remote, identity }: Accepted<CoalescedStream>,
        server: Option<SocketAddr>,
        is_local: bool,
        flush: Flush,
    ) -> Result<(), BoxError> {
        let Self { service, config, drain, backlog, limits_pings } = self;
        let http = limits::http(&config);
        let budget = CallBudget::new(backlog.clone());
        let wakes = WakeCoalescer::new();
        let shared = Connection::new(remote, server, is_local, wakes.waker().clone());
        let of_requests = shared.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(of_requests.clone());
            if let Some(identity) = &identity {
                request.extensions_mut().insert(Arc::clone(identity));
            }
            let (response, call) = (service.clone().oneshot(request), of_requests.call());
            let open = of_requests.open_call();
            let waiting = backlog.enter();
            let connection = of_requests.clone();
            async move {
                drop(waiting);
                let mut response = pin!(response);
                // The calls of a connection that has ended are dropped as they are. Their responses would be made for
                // nothing, and by the thousand hold up what other clients request.
                let response = poll_fn(|cx| match connection.is_over() {
                    true => Poll::Pending,
                    false => response.as_mut().poll(cx),
                });
                let response = response.await;
                drop(call);
                response.map(|response| response.map(|body| OpenBody::new(body, open)))
            }
        });
        let corrected = Corrected::new(stream, budget.clone());
        let paced = Paced::new(corrected, shared.clone(), limits_pings.then_some(config.ping_interval_min));
        let mut connection = pin!(http.serve_connection_with_upgrades(TokioIo::new(paced), service));
        // Dropped before the HTTP library, which then wakes all calls.
        let _end = shared.end();
        let mut begun = pin!(drain.begun());
        let mut is_draining = false;
        loop {
            if let Some(reason) = shared.closing() {
                return reset(&flush, remote, reason);
            }
            let turn = {
                let mut cx = Context::from_waker(wakes.waker());
                if !is_draining && begun.as_mut().poll(&mut cx).is_ready() {
                    is_draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                flush.poll_turn(&mut cx, |cx| connection.as_mut().poll(cx))
            };
            match turn {
                // There may be more calls than one turn takes.
                Turn::Pending if budget.renew() => after_all_others().await,
                // A lone call has no other to share its turn with.
                Turn::Pending => wakes.next(shared.n_running() > 1).await,
                Turn::Done(result) | Turn::Draining(result) => {
                    poll_fn(|cx| flush.poll_rest(cx)).await?;
                    result?;
                    if let Some(upgraded) = shared.take_upgraded() {
                        flush.hand_over();
                        let mut upgraded = pin!(upgraded);
                        let reason = loop {
                            tokio::select! {
                                () = upgraded.as_mut() => return Ok(()),
                                () = wakes.next(false) => {}
                            }
                            if let Some(reason) = shared.closing() {
                                break reason;
                            }
                        };
                        return reset(&flush, remote, reason);
                    }
                    return Ok(());
                }
                Turn::Broken(error) => return Err(error.into()),
            }
        }
    }
}

/// Ends a connection whose client does not take what it has requested.
fn reset(flush: &Flush, remote: Option<SocketAddr>, reason: &str) -> Result<(), BoxError> {
    tracing::warn!(remote = %Remote(remote), reason, "closing a connection");
    flush.reset().map_err(BoxError::from)
}

/// Does the handshake, below which the writes go into the same buffer as later. `None` if the connection was
/// rejected.
async fn open(
    stream: CoalescedStream,
    flush: &Flush,
    remote: Option<SocketAddr>,
    tls: Option<&ServerTls>,
) -> Result<Option<Accepted<CoalescedStream>>, BoxError> {
    let mut handshake = pin!(Accepted::open(stream, remote, tls));
    let turn = poll_fn(|cx| match flush.poll_turn(cx, |cx| handshake.as_mut().poll(cx)) {
        Turn::Pending => Poll::Pending,
        // What is unwritten is written with what follows; the rest of an alert is lost if the client does not read.
        Turn::Done(opened) | Turn::Draining(opened) => Poll::Ready(Ok(opened)),
        Turn::Broken(error) => Poll::Ready(Err(error.into())),
    });
    turn.await
}
