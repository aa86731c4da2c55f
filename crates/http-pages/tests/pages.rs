//! The pages as a client sees them, over a member whose state the test sets.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, Response, StatusCode, Version};
use ferretcd_http_pages::{
    Alarm, AlarmKind, Audience, BoxFuture, Config, Debug, Health, Pages, Raft, RaftProgress, Versions,
};
use flate2::read::GzDecoder;
use prometheus::Registry;
use tower::ServiceExt;

/// A member in perfect health unless a field says otherwise.
#[derive(Clone, Default)]
struct Member {
    alarms: Vec<AlarmKind>,
    leaderless: bool,
    learner: bool,
    serializable_error: Option<&'static str>,
    linearizable_error: Option<&'static str>,
    linearizable_hangs: bool,
    versionless: bool,
}

impl Health for Member {
    fn alarms(&self) -> Vec<Alarm> {
        self.alarms.iter().map(|kind| Alarm { member_id: 1, kind: *kind }).collect()
    }

    fn has_leader(&self) -> bool {
        !self.leaderless
    }

    fn is_learner(&self) -> bool {
        self.learner
    }

    fn read(&self, linearizable: bool) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            if linearizable && self.linearizable_hangs {
                std::future::pending::<()>().await;
            }
            let error = if linearizable { self.linearizable_error } else { self.serializable_error };
            error.map_or(Ok(()), |error| Err(error.to_owned()))
        })
    }

    fn raft(&self) -> BoxFuture<'_, Option<Raft>> {
        let progress = vec![RaftProgress { id: 0xab, matched: 4, next: 5, state: "StateReplicate" }];
        let raft = Raft {
            id: 0xab,
            term: 2,
            vote: 0xab,
            committed: 4,
            leader: 0xab,
            role: "StateLeader",
            applied: 3,
            progress,
            transferee: 0,
        };
        Box::pin(async { Some(raft) })
    }

    fn versions(&self) -> Versions {
        let known = |version: &str| (!self.versionless).then(|| version.to_owned());
        Versions { server: "3.7.1".into(), cluster: known("3.7.0"), storage: known("3.7.0") }
    }
}

fn open_config() -> Config {
    Config {
        cors: vec!["*".into()],
        host_whitelist: vec!["*".into()],
        read_timeout: Duration::from_secs(7),
        debug: Debug::default(),
    }
}

fn pages(member: Member, config: Config) -> Pages {
    Pages::register(Arc::new(member), config, &Registry::new()).unwrap()
}

/// An page without its CORS headers: status, the other headers in order of name, body.
struct Page {
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: String,
}

/// Requests with an authority are those of HTTP/2; others have the header `Host` that HTTP/1.1 requires.
async fn fetch(pages: &Pages, listener: Audience, mut request: Request<Body>) -> Page {
    if request.uri().authority().is_some() {
        *request.version_mut() = Version::HTTP_2;
    } else if !request.headers().contains_key("host") {
        request.headers_mut().insert("host", HeaderValue::from_static("server"));
    }
    fetch_as_it_is(pages, listener, request).await
}

async fn fetch_as_it_is(pages: &Pages, listener: Audience, request: Request<Body>) -> Page {
    let response: Response<Body> = pages.router(listener).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let mut headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| name != "content-length")
        .collect();
    headers.sort();
    let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    Page { status: parts.status, headers, body }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// Requests a page for probes, which have nothing around them.
async fn check(member: Member, path: &str, status: u16, body: &str) -> Page {
    let page = fetch(&pages(member, open_config()), Audience::Probes, get(path)).await;
    assert_eq!((page.status.as_u16(), page.body.as_str()), (status, body), "{path}");
    page
}

fn text_headers(nosniff: bool) -> Vec<(String, String)> {
    let mut headers = vec![("content-type".into(), "text/plain; charset=utf-8".into())];
    if nosniff {
        headers.push(("x-content-type-options".into(), "nosniff".into()));
    }
    headers
}

#[tokio::test]
async fn health_reports_the_first_fault() {
    const HEALTHY: &str = r#"{"health":"true","reason":""}"#;
    let unhealthy = |reason: &str| format!("{{\"health\":\"false\",\"reason\":\"{reason}\"}}\n");
    let no_space = Member { alarms: vec![AlarmKind::NoSpace], leaderless: true, ..Member::default() };
    let both = Member { alarms: vec![AlarmKind::NoSpace, AlarmKind::Corrupt], ..Member::default() };
    let leaderless = Member { leaderless: true, linearizable_error: Some("slow"), ..Member::default() };
    let unreadable =
        Member { serializable_error: Some("no"), linearizable_error: Some("slow"), ..Member::default() };

    let healthy = check(Member::default(), "/health", 200, HEALTHY).await;
    assert_eq!(healthy.headers, text_headers(false));
    let sick = check(no_space.clone(), "/health", 503, &unhealthy("ALARM NOSPACE")).await;
    assert_eq!(sick.headers, text_headers(true));
    check(no_space.clone(), "/health?exclude=NOSPACE", 503, &unhealthy("RAFT NO LEADER")).await;
    check(no_space.clone(), "/health?exclude=CORRUPT", 503, &unhealthy("ALARM NOSPACE")).await;
    check(no_space, "/health?exclude=NOSPACE&serializable=true", 200, HEALTHY).await;
    check(both.clone(), "/health?exclude=NOSPACE", 503, &unhealthy("ALARM CORRUPT")).await;
    check(both, "/health?exclude=NOSPACE&exclude=CORRUPT", 200, HEALTHY).await;
    check(leaderless.clone(), "/health", 503, &unhealthy("RAFT NO LEADER")).await;
    check(leaderless.clone(), "/health?serializable=1", 503, &unhealthy("RAFT NO LEADER")).await;
    check(leaderless, "/health?serializable=true", 200, HEALTHY).await;
    check(unreadable.clone(), "/health", 503, &unhealthy("RANGE ERROR:slow")).await;
    check(unreadable, "/health?serializable=true", 503, &unhealthy("RANGE ERROR:no")).await;
}

#[tokio::test(start_paused = true)]
async fn hanging_read_times_out() {
    let hanging = Member { linearizable_hangs: true, ..Member::default() };
    let body = "{\"health\":\"false\",\"reason\":\"RANGE ERROR:context deadline exceeded\"}\n";
    check(hanging.clone(), "/health", 503, body).await;
    let body = "[-]linearizable_read failed: etcdserver: request timed out\n\n";
    check(hanging, "/readyz/linearizable_read", 503, body).await;
}

#[tokio::test]
async fn probes_list_checks_if_verbose_or_failing() {
    let ok = check(Member::default(), "/livez", 200, "ok\n").await;
    assert_eq!(ok.headers, text_headers(true));
    check(Member::default(), "/livez?verbose", 200, "[+]serializable_read ok\nok\n").await;
    check(Member::default(), "/readyz", 200, "ok\n").await;
    let all =
        "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n";
    check(Member::default(), "/readyz?verbose=0", 200, all).await;
    let two = "[+]linearizable_read ok\n[+]non_learner ok\nok\n";
    check(
        Member::default(),
        "/readyz?verbose&exclude=data_corruption&exclude=serializable_read&exclude=x",
        200,
        two,
    )
    .await;
    check(Member::default(), "/livez?exclude=serializable_read&verbose", 200, "ok\n").await;
    check(Member::default(), "/readyz/non_learner?verbose", 200, "[+]non_learner ok\nok\n").await;
    check(Member::default(), "/readyz/non_learner?exclude=non_learner", 200, "ok\n").await;
}

#[tokio::test]
async fn failing_check_fails_its_probe() {
    let broken = Member {
        alarms: vec![AlarmKind::NoSpace, AlarmKind::Corrupt],
        learner: true,
        linearizable_error: Some("etcdserver: request timed out"),
        ..Member::default()
    };
    let lines = "[-]data_corruption failed: alarm activated: CORRUPT\n\
                 [+]serializable_read ok\n\
                 [-]linearizable_read failed: etcdserver: request timed out\n\
                 [-]non_learner failed: not supported for learner\n\n";
    let page = check(broken.clone(), "/readyz", 503, lines).await;
    assert_eq!(page.headers, text_headers(true));
    check(broken.clone(), "/livez", 200, "ok\n").await;
    check(broken.clone(), "/readyz/serializable_read", 200, "ok\n").await;
    check(broken, "/readyz/non_learner", 503, "[-]non_learner failed: not supported for learner\n\n").await;

    let full = Member { alarms: vec![AlarmKind::NoSpace], ..Member::default() };
    check(full, "/readyz", 200, "ok\n").await;
}

#[tokio::test]
async fn version_has_words_for_unknown_versions() {
    let check = async |member, body| {
        let page = fetch(&pages(member, open_config()), Audience::TlsClients, get("/version")).await;
        assert_eq!((page.status, page.body.as_str()), (StatusCode::OK, body));
        assert!(page.headers.contains(&("content-type".into(), "application/json".into())));
    };
    check(Member::default(), r#"{"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"}"#).await;
    let young = Member { versionless: true, ..Member::default() };
    check(young, r#"{"etcdserver":"3.7.1","etcdcluster":"not_decided","storage":"unknown"}"#).await;
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let not_found = "404 page not found\n";
    for path in ["/", "/healthz", "/health/", "/livez/linearizable_read", "/livez/", "/version"] {
        let page = check(Member::default(), path, 404, not_found).await;
        assert_eq!(page.headers, text_headers(true));
    }
    let pages = pages(Member::default(), open_config());
    for path in ["/health", "/livez", "/readyz", "/readyz/non_learner", "/version"] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let page = fetch(&pages, Audience::Clients, request).await;
            assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(page.body, "Method Not Allowed\n");
            assert!(page.headers.contains(&("allow".into(), "GET".into())));
        }
        let head = Request::head(path).body(Body::empty()).unwrap();
        assert_eq!(fetch(&pages, Audience::Clients, head).await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn pages_count_their_responses() {
    let member = Member { learner: true, ..Member::default() };
    let pages = pages(member, open_config());
    for path in ["/health", "/health?exclude=NOSPACE", "/livez", "/readyz", "/readyz/non_learner", "/metrics"]
    {
        fetch(&pages, Audience::Clients, get(path)).await;
    }
    let page = fetch(&pages, Audience::Probes, get("/metrics")).await;
    assert_eq!(
        page.headers,
        [("content-type".into(), "text/plain; version=0.0.4; charset=utf-8; escaping=underscores".into())]
    );
    for line in [
        "etcd_server_health_success 2",
        "etcd_server_health_failures 0",
        r#"etcd_server_healthcheck{name="non_learner",type="readyz"} 0"#,
        r#"etcd_server_healthcheck{name="serializable_read",type="livez"} 1"#,
        r#"etcd_server_healthchecks_total{name="non_learner",status="error",type="readyz"} 2"#,
        r#"etcd_server_healthchecks_total{name="serializable_read",status="success",type="livez"} 1"#,
        r#"promhttp_metric_handler_requests_total{code="200"} 1"#,
        r#"promhttp_metric_handler_requests_total{code="500"} 0"#,
        "promhttp_metric_handler_requests_in_flight 1",
    ] {
        assert!(page.body.lines().any(|found| found == line), "{line}\n{}", page.body);
    }
    assert!(page.body.contains("# TYPE process_cpu_seconds_total counter"));
    assert!(page.body.contains("\nos_fd_limit "));
}

#[tokio::test]
async fn pages_register_once_in_a_registry() {
    let registry = Registry::new();
    let register = || Pages::register(Arc::new(Member::default()), open_config(), &registry);
    register().unwrap();
    assert!(register().is_err());
}

/// The CORS headers of an page: origin, methods, allowed headers.
async fn cors(config: Config, request: Request<Body>) -> Option<[String; 3]> {
    let page = fetch(&pages(Member::default(), config), Audience::TlsClients, request).await;
    let header =
        |name: &str| page.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    Some([
        header("access-control-allow-origin")?,
        header("access-control-allow-methods")?,
        header("access-control-allow-headers")?,
    ])
}

#[tokio::test]
async fn cors_headers_go_to_allowed_origins() {
    let from = |origin: &str| Request::get("/nowhere").header("origin", origin).body(Body::empty()).unwrap();
    let expected = |origin: &str| {
        Some([
            origin.to_owned(),
            "POST, GET, OPTIONS, PUT, DELETE".into(),
            "accept, content-type, authorization".into(),
        ])
    };
    let only_a = || Config { cors: vec!["http://a".into()], ..open_config() };
    assert_eq!(cors(open_config(), get("/nowhere")).await, expected("*"));
    assert_eq!(cors(Config { cors: vec![], ..open_config() }, from("http://b")).await, expected("*"));
    assert_eq!(cors(only_a(), from("http://a")).await, expected("http://a"));
    assert_eq!(cors(only_a(), from("http://b")).await, None);
    assert_eq!(cors(only_a(), get("/health")).await, None);
}

#[tokio::test]
async fn options_succeeds_on_every_path() {
    let pages = pages(Member::default(), open_config());
    for path in ["/health", "/v3/kv/put", "/"] {
        let request = Request::options(path).body(Body::empty()).unwrap();
        let page = fetch(&pages, Audience::Clients, request).await;
        assert_eq!((page.status, page.body.as_str()), (StatusCode::OK, ""), "{path}");
        assert!(page.headers.iter().any(|(name, _)| name == "access-control-allow-origin"));
    }
}

#[tokio::test]
async fn unlisted_hosts_are_misdirected_without_tls() {
    let config = Config { host_whitelist: vec!["etcd.local".into(), "::1".into()], ..open_config() };
    let pages = pages(Member::default(), config);
    let named = |host: &str| Request::get("/version").header("host", host).body(Body::empty()).unwrap();
    for host in ["etcd.local", "etcd.local:2379", "[::1]:2379"] {
        assert_eq!(fetch(&pages, Audience::Clients, named(host)).await.status, StatusCode::OK, "{host}");
    }
    for request in [named("evil.example:2379"), get("/version"), get("http://evil.example/version")] {
        let page = fetch(&pages, Audience::Clients, request).await;
        assert_eq!(page.status, StatusCode::MISDIRECTED_REQUEST);
        assert!(page.body.contains("--host-whitelist") && page.body.contains("CVE-2018-5702"));
        assert_eq!(page.headers, text_headers(true));
    }
    let by_authority = get("http://etcd.local:2379/version");
    assert_eq!(fetch(&pages, Audience::Clients, by_authority).await.status, StatusCode::OK);
    assert_eq!(fetch(&pages, Audience::TlsClients, named("evil.example")).await.status, StatusCode::OK);
    let preflight = Request::options("/").header("host", "evil.example").body(Body::empty()).unwrap();
    assert_eq!(fetch(&pages, Audience::Clients, preflight).await.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn peers_see_the_version_alone() {
    let pages = pages(Member::default(), open_config());
    let version = fetch(&pages, Audience::Peers, get("/version")).await;
    assert!(version.body.contains(r#""etcdserver":"3.7.1""#), "{}", version.body);
    for path in ["/health", "/metrics", "/livez", "/readyz"] {
        assert_eq!(fetch(&pages, Audience::Peers, get(path)).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn paths_are_found_as_by_gos_router() {
    let check = async |audience, method: &str, target: &str, status: u16, location: Option<&str>| {
        let request = Request::builder().method(method).uri(target).body(Body::empty()).unwrap();
        let page = fetch(&pages(Member::default(), open_config()), audience, request).await;
        let found = page.headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.as_str());
        assert_eq!((page.status.as_u16(), found), (status, location), "{audience:?} {method} {target}");
        page
    };
    use Audience::{Clients, Peers, Probes, TlsClients};
    for audience in [Clients, TlsClients, Probes] {
        check(audience, "GET", "/%68ealth", 200, None).await;
        check(audience, "HEAD", "/%68ealth", 405, None).await;
        check(audience, "GET", "/livez%2fserializable_read", 404, None).await;
        for method in ["GET", "HEAD", "POST", "PUT"] {
            check(audience, method, "//health", 307, Some("/health")).await;
            check(audience, method, "/a/../health?exclude=x", 307, Some("/health?exclude=x")).await;
            check(audience, method, "/not//there", 307, Some("/not/there")).await;
        }
    }
    check(Clients, "OPTIONS", "//health", 200, None).await;
    check(Peers, "GET", "//version", 307, Some("/version")).await;
    check(Peers, "GET", "/%76ersion", 200, None).await;
    let html = ("content-type".to_owned(), "text/html; charset=utf-8".to_owned());
    let get = check(Probes, "GET", "//health?a&b", 307, Some("/health?a&b")).await;
    assert_eq!(get.body, "<a href=\"/health?a&amp;b\">Temporary Redirect</a>.\n\n");
    assert!(get.headers.contains(&html));
    let head = check(Probes, "HEAD", "//health", 307, Some("/health")).await;
    assert!(head.body.is_empty() && head.headers.contains(&html));
    let post = check(Probes, "POST", "//health", 307, Some("/health")).await;
    assert_eq!((post.body.as_str(), post.headers.len()), ("", 1));
}

#[tokio::test]
async fn host_is_checked_before_anything_else() {
    let config = Config { host_whitelist: vec!["etcd.local".into()], ..open_config() };
    let pages = pages(Member::default(), config);
    let missing = "400 Bad Request: missing required Host header";
    for audience in [Audience::Clients, Audience::GrpcClients, Audience::Probes, Audience::Peers] {
        for path in ["/version", "/nowhere", "//health", "/etcdserverpb.KV/Put"] {
            let page = fetch_as_it_is(&pages, audience, get(path)).await;
            assert_eq!((page.status.as_u16(), page.body.as_str()), (400, missing), "{audience:?} {path}");
            let close = ("connection".to_owned(), "close".to_owned());
            assert_eq!(page.headers, [vec![close], text_headers(false)].concat());
        }
    }
    for audience in [Audience::Clients, Audience::GrpcClients] {
        for path in ["/version", "/nowhere", "//health", "/etcdserverpb.KV/Put"] {
            let request = Request::post(path).header("host", "evil.example").body(Body::empty()).unwrap();
            let page = fetch(&pages, audience, request).await;
            assert_eq!(page.status, StatusCode::MISDIRECTED_REQUEST, "{audience:?} {path}");
        }
        let listed = Request::post("/etcdserverpb.KV/Put").header("host", "etcd.local");
        let page = fetch(&pages, audience, listed.body(Body::empty()).unwrap()).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{audience:?}");
    }
    let mut old = get("/version");
    *old.version_mut() = Version::HTTP_10;
    assert_eq!(fetch_as_it_is(&pages, Audience::Peers, old).await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_compressed_on_request() {
    let pages = pages(Member::default(), open_config());
    let request =
        Request::get("/metrics").header("host", "server").header("accept-encoding", "deflate, gzip");
    let request = request.body(Body::empty()).unwrap();
    let response = pages.router(Audience::Probes).oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let compressed = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let mut text = String::new();
    GzDecoder::new(&compressed[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains("\n# TYPE process_cpu_seconds_total counter\n"), "{text}");
    assert!(compressed.len() < text.len() / 2);
    let page = fetch(&pages, Audience::Probes, get("/metrics")).await;
    assert!(!page.headers.iter().any(|(name, _)| name == "content-encoding"));
}

fn debug_pages(has_profiles: bool, has_requests: bool) -> Pages {
    let command_line = ["ferretcd", "--name=a b"].map(str::to_owned).to_vec();
    let debug = Debug { command_line, has_profiles, has_requests };
    pages(Member::default(), Config { debug, ..open_config() })
}

#[tokio::test]
async fn variables_have_gos_form() {
    let page = fetch(&debug_pages(false, false), Audience::TlsClients, get("/debug/vars")).await;
    let lines: Vec<_> = page.body.lines().collect();
    assert_eq!(lines[..2], ["{", r#""cmdline": ["ferretcd","--name=a b"],"#]);
    assert!(lines[2].starts_with(r#""file_descriptor_limit": "#), "{}", page.body);
    let raft = r#""raft.status": {"id":"ab","term":2,"vote":"ab","commit":4,"lead":"ab","raftState":"StateLeader","applied":3,"progress":{"ab":{"match":4,"next":5,"state":"StateReplicate"}},"leadtransferee":"0"}"#;
    assert_eq!(lines[3..], [raft, "}"]);
}

#[tokio::test]
async fn debugging_pages_are_there_if_the_configuration_says_so() {
    async fn check(pages: &Pages, audience: Audience, path: &str, status: u16, body: &str) {
        let page = fetch(pages, audience, get(path)).await;
        let is_so = page.status.as_u16() == status && page.body.starts_with(body);
        assert!(is_so, "{path} of {audience:?}: {} {}", page.status, page.body);
    }
    const ABSENT: &str = "404 page not found";
    let (off, on) = (debug_pages(false, false), debug_pages(true, true));
    for path in ["/debug/pprof/", "/debug/pprof/heap", "/debug/requests", "/debug/events"] {
        check(&off, Audience::Clients, path, 404, ABSENT).await;
        for audience in [Audience::Probes, Audience::Peers, Audience::GrpcClients] {
            check(&on, audience, path, 404, ABSENT).await;
        }
    }
    check(&on, Audience::Probes, "/debug/vars", 404, ABSENT).await;
    for (path, status, body) in [
        ("/debug/pprof/", 200, "<html>"),
        ("/debug/pprof/cmdline", 200, "ferretcd\0--name=a b"),
        ("/debug/pprof/profile?seconds=301", 400, "profile duration exceeds the limit of 300 s\n"),
        ("/debug/pprof/goroutine", 501, "ferretcd has no goroutines"),
        ("/debug/pprof/mutex", 501, "ferretcd does not record mutex"),
        ("/debug/pprof/other", 404, "Unknown profile\n"),
        ("/debug/requests", 200, "    active        ended       failed method\n"),
        ("/debug/events", 501, "ferretcd keeps no events"),
    ] {
        check(&on, Audience::Clients, path, status, body).await;
        check(&on, Audience::TlsClients, path, status, body).await;
    }
    let strange =
        Request::get("/debug/pprof/cmdline").header("host", "evil.example").body(Body::empty()).unwrap();
    let strict = Config { host_whitelist: vec!["localhost".into()], ..open_config() };
    let strict = Config { debug: Debug { has_profiles: true, ..Debug::default() }, ..strict };
    let page = fetch(&pages(Member::default(), strict), Audience::Clients, strange).await;
    assert_eq!(page.status, 421);
}
