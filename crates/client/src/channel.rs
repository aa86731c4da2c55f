//! The connection that all calls of a client share.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::{ConnectError, TimeoutExpired};
use tower_service::Service;

use crate::connection::{BoxError, Connection, Exchange};
use crate::endpoint::Endpoint;
use crate::login::log_in;
use crate::{Config, Error};

/// A service for the generated clients: connects when a request needs it, and again after a failure. Clones share the
/// connection.
#[derive(Clone)]
pub struct Channel {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    endpoints: Vec<Endpoint>,
    /// Taken by each request, to clone what is in it. The connection is made outside of the lock.
    dial: Mutex<Arc<Dial>>,
}

/// A connection, as soon as it is made. Requests that come in the meantime wait for the same one.
#[derive(Default)]
pub(crate) struct Dial {
    /// The endpoint to begin with.
    first: usize,
    /// With the number of its endpoint.
    connection: OnceCell<(Connection, usize)>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("endpoints", &self.shared.config.endpoints).finish_non_exhaustive()
    }
}

impl Channel {
    pub(crate) fn new(config: Config) -> Result<Self, Error> {
        let parse = |text: &String| Endpoint::parse(text, &config);
        let endpoints: Vec<_> = config.endpoints.iter().map(parse).collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            return Err(Error::NoEndpoints);
        }
        Ok(Self { shared: Arc::new(Shared { config, endpoints, dial: Mutex::default() }) })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The connection that is there, or a new one.
    pub(crate) async fn connection(&self) -> Result<(Connection, Arc<Dial>), Error> {
        let dial = self.dial();
        let (connection, _) = dial.connection.get_or_try_init(|| self.connect(dial.first)).await?;
        Ok((connection.clone(), Arc::clone(&dial)))
    }

    fn dial(&self) -> Arc<Dial> {
        let mut dial = self.shared.dial.lock();
        if dial.connection.get().is_some_and(|(connection, _)| connection.is_closed()) {
            *dial = Arc::default();
        }
        Arc::clone(&dial)
    }

    /// Has the next request make a new connection, whatever the present one is like.
    pub(crate) fn disconnect(&self) {
        *self.shared.dial.lock() = Arc::default();
    }

    /// Has the next request make a new connection, to the first endpoint that can be reached.
    pub(crate) fn give_up(&self, failed: &Arc<Dial>) {
        self.replace(failed, 0);
    }

    /// Has the next request make a new connection, to another endpoint if one can be reached.
    pub(crate) fn leave(&self, failed: &Arc<Dial>) {
        let next = failed.connection.get().map_or(0, |(_, endpoint)| endpoint + 1);
        self.replace(failed, next % self.shared.endpoints.len());
    }

    fn replace(&self, failed: &Arc<Dial>, first: usize) {
        let mut dial = self.shared.dial.lock();
        // Else another request has replaced it before.
        if Arc::ptr_eq(&dial, failed) {
            *dial = Arc::new(Dial { first, connection: OnceCell::new() });
        }
    }

    /// Tries one endpoint after the other until one can be reached.
    async fn connect(&self, first: usize) -> Result<(Connection, usize), Error> {
        let Shared { config, endpoints, .. } = &*self.shared;
        let mut last = Error::Timeout;
        for number in (first..endpoints.len()).chain(0..first) {
            let endpoint = &endpoints[number];
            let connecting = endpoint.connect(config);
            let connected = match config.connect_timeout {
                Some(limit) => timeout(limit, connecting).await,
                None => Ok(connecting.await),
            };
            match connected {
                Ok(Ok(connection)) => return Ok((log_in(connection, config).await?, number)),
                Ok(Err(source)) => last = Error::Connect { endpoint: endpoint.origin(), source },
                Err(_) => last = Error::Timeout,
            }
        }
        Err(last)
    }

    async fn exchange(self, request: Request<Body>) -> Result<Response<Incoming>, BoxError> {
        let connected = self.connection().await;
        let (mut connection, dial) = connected.map_err(|error| ConnectError(error.into()))?;
        let response = match self.shared.config.request_timeout {
            Some(limit) => match timeout(limit, connection.call(request)).await {
                Ok(response) => response,
                // The connection may be fine, and other calls wait on it too.
                Err(_) => return Err(TimeoutExpired(()).into()),
            },
            None => connection.call(request).await,
        };
        if response.is_err() {
            self.give_up(&dial);
        }
        response
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Exchange;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Exchange {
        Box::pin(self.clone().exchange(request))
    }
}
