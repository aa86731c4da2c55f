//! The line that `LogLayer` writes, and when.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferretcd_base::Threshold;
use ferretcd_interceptors::{Content, Describe, LogConfig, LogLayer, Note};
use http::{Extensions, Request, Response};
use parking_lot::Mutex;
use tower::{Layer, ServiceExt, service_fn};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::support::{PUT, RPCS, TestBody, WATCH, begin, message, read, request, response};

type Line = BTreeMap<&'static str, String>;

/// Keeps every event as its fields, the level among them.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<Line>>>);

impl<S: Subscriber> tracing_subscriber::Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Fields(Line::from([("level", event.metadata().level().to_string())]));
        event.record(&mut line);
        self.0.lock().push(line.0);
    }
}

struct Fields(Line);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

fn remote(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get().copied()
}

fn layer(limit: Duration) -> LogLayer {
    LogLayer::new(LogConfig { rpcs: RPCS, warning_unary_request_duration: Threshold::new(limit), remote })
}

const NEVER: Duration = Duration::MAX;
/// Even the fastest call takes longer.
const ALWAYS: Duration = Duration::ZERO;

/// The lines of one call that is read to its end, with log level `level`.
async fn lines_of(level: LevelFilter, limit: Duration, request: Request<TestBody>) -> Vec<Line> {
    let lines = Lines::default();
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()).with(level));
    let inner = service_fn(async |request: Request<_>| {
        read(request.into_body()).await.unwrap();
        Ok::<_, Infallible>(Response::new(response(b"ok")))
    });
    let response = layer(limit).layer(inner).oneshot(request).await.unwrap();
    assert!(lines.0.lock().is_empty(), "the response has not been sent yet");
    read(response.into_body()).await.unwrap();
    lines.0.lock().clone()
}

#[tokio::test]
async fn at_debug_every_unary_call_has_a_line() {
    let mut request = request(PUT, vec![message(b"secret")]);
    request.extensions_mut().insert(SocketAddr::from(([10, 0, 0, 7], 4711)));
    let [line] = lines_of(LevelFilter::DEBUG, NEVER, request).await.try_into().unwrap();
    let check = |field: &str, expected: &str| assert_eq!(line[field], expected, "{field}");
    check("message", "request stats");
    check("level", Level::DEBUG.as_str());
    check("remote", "10.0.0.7:4711");
    check("response type", PUT.path());
    check("request count", "-1");
    check("request size", "6");
    check("response count", "-1");
    check("response size", "2");
    check("request content", "");
    assert!(line["start time"].ends_with('Z'), "{line:?}");
    assert!(line["time spent"].ends_with('s'), "{line:?}");
    assert!(!format!("{line:?}").contains("secret"));
}

#[tokio::test]
async fn above_debug_only_slow_calls_have_a_line() {
    assert!(lines_of(LevelFilter::INFO, NEVER, request(PUT, vec![message(b"v")])).await.is_empty());
    let [line] =
        lines_of(LevelFilter::INFO, ALWAYS, request(PUT, vec![message(b"v")])).await.try_into().unwrap();
    assert_eq!((line["level"].as_str(), line["remote"].as_str()), ("WARN", "@"));
    assert_eq!((line["request size"].as_str(), line["response size"].as_str()), ("-1", "2"));
}

#[tokio::test]
async fn content_is_what_the_handler_has_noted() {
    struct Message;

    impl Describe for Message {
        fn content(&self) -> Option<Content> {
            Some(Content { count: 1, text: "key:\"a\" value_size:3 ".to_owned() })
        }
    }

    let lines = Lines::default();
    let subscriber = tracing_subscriber::registry().with(lines.clone()).with(LevelFilter::DEBUG);
    let _guard = tracing::subscriber::set_default(subscriber);
    let inner = service_fn(async |request: Request<_>| {
        Note::of(request.extensions()).expect("debug wants one").fill(Message);
        Ok::<_, Infallible>(Response::new(response(b"ok")))
    });
    let response = layer(NEVER).layer(inner).oneshot(request(PUT, vec![message(b"v")])).await.unwrap();
    read(response.into_body()).await.unwrap();
    let line = lines.0.lock()[0].clone();
    assert_eq!((&*line["request count"], &*line["request content"]), ("1", "key:\"a\" value_size:3 "));
}

#[tokio::test]
async fn above_debug_nothing_is_noted() {
    let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO);
    let _guard = tracing::subscriber::set_default(subscriber);
    let inner = service_fn(async |request: Request<_>| {
        assert!(Note::of(request.extensions()).is_none());
        Ok::<_, Infallible>(Response::new(response(b"ok")))
    });
    layer(ALWAYS).layer(inner).oneshot(request(PUT, vec![])).await.unwrap();
}

#[tokio::test]
async fn streams_have_no_line() {
    assert!(lines_of(LevelFilter::DEBUG, ALWAYS, request(WATCH, vec![])).await.is_empty());
}

#[tokio::test]
async fn slow_call_given_up_by_the_client_has_a_line() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::registry().with(lines.clone()).with(LevelFilter::INFO);
    let _guard = tracing::subscriber::set_default(subscriber);
    let stuck = service_fn(|_: Request<_>| std::future::pending::<Result<Response<TestBody>, Infallible>>());
    drop(begin(layer(ALWAYS).layer(stuck).oneshot(request(PUT, vec![]))).await);
    assert_eq!(lines.0.lock().len(), 1);
}
