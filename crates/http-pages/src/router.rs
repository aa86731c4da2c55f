use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::handler::Handler;
use axum::middleware;
use axum::routing::{MethodRouter, any, get};
use prometheus::{Error, Registry};

use crate::access::{Access, guard};
use crate::answer::{method_not_allowed, not_found};
use crate::checks::{LIVEZ, Probe, READYZ, probe_page, single_page};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::{health_page, metrics_page, version_page};

/// How the pages behave.
#[derive(Clone, Debug)]
pub struct Config {
    /// Origins whose scripts may read the answers; `*` stands for all, as does an empty list.
    pub cors: Vec<String>,
    /// Hosts that requests without TLS may name, compared without the port; `*` stands for all, as does an
    /// empty list.
    pub host_whitelist: Vec<String>,
    /// How long a page waits for its read.
    pub read_timeout: Duration,
}

/// Where a router's requests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// A client URL without TLS: all pages, CORS, and the check of the host that requests name.
    Plain,
    /// A client URL with TLS: all pages and CORS.
    Tls,
    /// A URL for probes and scrapers: health and metrics only, nothing around them.
    Metrics,
    /// A URL for other members: the version only, nothing around it.
    Peers,
}

/// The HTTP pages of one member. Clones share everything.
#[derive(Clone)]
pub struct Gateway {
    pages: Arc<Pages>,
}

/// What the pages share.
pub(crate) struct Pages {
    pub(crate) member: Arc<dyn Health>,
    pub(crate) metrics: Metrics,
    config: Config,
}

impl Gateway {
    /// Registers the metrics of the pages and of the process; `/metrics` shows all of `registry`.
    ///
    /// # Errors
    /// When `registry` holds a metric of the same name already.
    pub fn register(member: Arc<dyn Health>, config: Config, registry: &Registry) -> Result<Gateway, Error> {
        let metrics = Metrics::register(registry)?;
        Ok(Gateway { pages: Arc::new(Pages { member, metrics, config }) })
    }

    /// The pages as `listener` shows them. Every path has an answer, if only `404 page not found`.
    ///
    /// The reads of the pages need a tokio runtime with time.
    pub fn router(&self, listener: Listener) -> Router {
        let mut pages = Router::new();
        if listener != Listener::Peers {
            pages = pages
                .route("/health", only_get(health_page::answer))
                .route("/metrics", any(metrics_page::answer));
            pages = add_probe(pages, &LIVEZ);
            pages = add_probe(pages, &READYZ);
        }
        if listener != Listener::Metrics {
            pages = pages.route("/version", only_get(version_page::answer));
        }
        let pages = pages.fallback(not_found).with_state(self.pages.clone());
        match listener {
            Listener::Metrics | Listener::Peers => pages,
            Listener::Plain => self.guarded(pages, true),
            Listener::Tls => self.guarded(pages, false),
        }
    }

    fn guarded(&self, pages: Router, check_host: bool) -> Router {
        let access = Arc::new(Access::new(&self.pages.config, check_host));
        pages.layer(middleware::from_fn_with_state(access, guard))
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("config", &self.pages.config).finish_non_exhaustive()
    }
}

impl Pages {
    /// Reads from the member within the configured time.
    pub(crate) async fn read(&self, linearizable: bool) -> Result<(), String> {
        let read = self.member.read(linearizable);
        match tokio::time::timeout(self.config.read_timeout, read).await {
            Ok(result) => result,
            Err(_) => Err("context deadline exceeded".to_owned()),
        }
    }
}

/// Adds the page that runs all checks of `probe`, and one page for each of them.
fn add_probe(mut pages: Router<Arc<Pages>>, probe: &'static Probe) -> Router<Arc<Pages>> {
    let all = move |state, uri| probe_page(probe, state, uri);
    pages = pages.route(&format!("/{}", probe.name), only_get(all));
    for check in probe.checks {
        let single = move |state, uri| single_page(probe, *check, state, uri);
        pages = pages.route(&format!("/{}/{}", probe.name, check.name()), only_get(single));
    }
    pages
}

/// Answers GET alone; by itself `get` would answer HEAD too.
fn only_get<H, T>(page: H) -> MethodRouter<Arc<Pages>>
where
    H: Handler<T, Arc<Pages>>,
    T: 'static,
{
    get(page).head(method_not_allowed).fallback(method_not_allowed)
}
