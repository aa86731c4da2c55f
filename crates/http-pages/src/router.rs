use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::middleware;
use axum::routing::{MethodRouter, any, get};
use prometheus::{Error, Registry};

use crate::access::Access;
use crate::checks::{LIVEZ, Probe, READYZ, probe_page, single_page};
use crate::config::Config;
use crate::gate::{Gate, enter};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::response::{method_not_allowed, not_found};
use crate::state::PageState;
use crate::{debug, health_page, metrics_page, version_page};

/// Where a router's requests come from, and so which pages it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A client URL without TLS: all pages, CORS, and the check of the host that requests name.
    Clients,
    /// A client URL with TLS: all pages and CORS.
    TlsClients,
    /// A client URL for gRPC alone: no page, behind the same checks.
    GrpcClients,
    /// A URL for probes and scrapers: health and metrics only, nothing around them.
    Probes,
    /// A URL for other members: the version only, nothing around it.
    Peers,
}

/// The HTTP pages of one member. Clones share everything.
#[derive(Clone)]
pub struct Pages {
    state: Arc<PageState>,
}

impl Pages {
    /// Registers the metrics of the pages and of the process; `/metrics` shows all of `registry`.
    ///
    /// # Errors
    /// When `registry` holds a metric of the same name already.
    pub fn register(member: Arc<dyn Health>, config: Config, registry: &Registry) -> Result<Pages, Error> {
        let metrics = Metrics::register(registry)?;
        Ok(Pages { state: Arc::new(PageState { member, metrics, config }) })
    }

    /// The pages for `audience`, behind their gate. Every path has a response, if only `404 page not found`.
    ///
    /// The reads of the pages need a tokio runtime with time.
    pub fn router(&self, audience: Audience) -> Router {
        // Outside of the router of the pages, so that the gate can change a path before it is looked up.
        let enter = middleware::from_fn_with_state(Arc::new(self.gate(audience)), enter);
        Router::new().fallback_service(self.pages(audience)).layer(enter)
    }

    /// The gate alone, for what is served beside the pages.
    pub fn gate(&self, audience: Audience) -> Gate {
        let access = match audience {
            Audience::Clients | Audience::GrpcClients => Some(Access::new(&self.state.config, true)),
            Audience::TlsClients => Some(Access::new(&self.state.config, false)),
            Audience::Probes | Audience::Peers => None,
        };
        Gate { access }
    }

    fn pages(&self, audience: Audience) -> Router {
        let has_probes = matches!(audience, Audience::Clients | Audience::TlsClients | Audience::Probes);
        let has_version = matches!(audience, Audience::Clients | Audience::TlsClients | Audience::Peers);
        let mut pages = Router::new();
        if has_probes {
            pages = pages
                .route("/health", only_get(health_page::respond))
                .route("/metrics", any(metrics_page::respond));
            pages = add_probe(pages, &LIVEZ);
            pages = add_probe(pages, &READYZ);
        }
        if has_version {
            pages = pages.route("/version", only_get(version_page::respond));
        }
        if matches!(audience, Audience::Clients | Audience::TlsClients) {
            pages = pages.route("/debug/vars", only_get(debug::vars::respond));
            pages = debug::add_pages(pages, &self.state.config.debug);
        }
        pages.fallback(not_found).with_state(self.state.clone())
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("config", &self.state.config).finish_non_exhaustive()
    }
}

/// Adds the page that runs all checks of `probe`, and one page for each of them.
fn add_probe(mut pages: Router<Arc<PageState>>, probe: &'static Probe) -> Router<Arc<PageState>> {
    let all = move |state, uri| probe_page(probe, state, uri);
    pages = pages.route(&format!("/{}", probe.name), only_get(all));
    for check in probe.checks {
        let single = move |state, uri| single_page(probe, *check, state, uri);
        pages = pages.route(&format!("/{}/{}", probe.name, check.name()), only_get(single));
    }
    pages
}

/// Accepts GET alone; by itself `get` would accept HEAD too.
fn only_get<H, T>(page: H) -> MethodRouter<Arc<PageState>>
where
    H: Handler<T, Arc<PageState>>,
    T: 'static,
{
    get(page).head(method_not_allowed).fallback(method_not_allowed)
}
