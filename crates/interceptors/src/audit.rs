//! The audit log: one line for each call.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{Extensions, HeaderMap, Request, Response};
use http_body::Body;
use tonic::Code;
use tonic::server::NamedService;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::{CountedBody, Observe};
use crate::call_future::{CallFuture, Follow, code_at_end};
use crate::metadata::Metadata;
use crate::note::{Describe, Note};
use crate::revision::FirstRevision;
use crate::rpc::{Rpc, RpcKind};
use crate::series::code_name;
use crate::subject::Subject;

/// Where the lines of the audit log go.
pub trait AuditSink: Send + Sync + 'static {
    /// Takes the members of one line's JSON object, without braces and without the time. Must not wait.
    fn write(&self, members: &str);
}

/// Knows the users of credentials.
pub trait AuditUsers: Send + Sync + 'static {
    /// The user of a token; `None` if it is not valid. Must not wait.
    fn user(&self, token: &Bytes) -> Option<Arc<str>>;
}

/// What [`AuditLayer`] writes.
#[derive(Clone)]
pub struct AuditConfig {
    /// The methods of the server. Calls of others are audited as unary ones.
    pub rpcs: &'static [Rpc],
    /// Finds the caller's address among the request's extensions.
    pub remote: fn(&Extensions) -> Option<SocketAddr>,
    /// Finds the name in the client's certificate there.
    pub certificate: fn(&Extensions) -> Option<Arc<str>>,
    /// Appends a key as text.
    pub quote: fn(&mut String, &[u8]),
}

// By hand because the derive does not take a function over a reference of any lifetime.
impl fmt::Debug for AuditConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditConfig").field("rpcs", &self.rpcs.len()).finish_non_exhaustive()
    }
}

/// Puts [`Audit`] around a service.
#[derive(Clone)]
pub struct AuditLayer(Arc<Shared>);

struct Shared {
    kinds: HashMap<&'static str, RpcKind>,
    config: AuditConfig,
    users: Arc<dyn AuditUsers>,
    sink: Arc<dyn AuditSink>,
}

impl fmt::Debug for AuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLayer").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl AuditLayer {
    /// A layer that writes to `sink`, and gets the names from `users`.
    pub fn new(config: AuditConfig, users: Arc<dyn AuditUsers>, sink: Arc<dyn AuditSink>) -> Self {
        let kinds = config.rpcs.iter().map(|rpc| (rpc.path(), rpc.kind())).collect();
        Self(Arc::new(Shared { kinds, config, users, sink }))
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = Audit<S>;

    fn layer(&self, inner: S) -> Audit<S> {
        Audit { inner, shared: Arc::clone(&self.0) }
    }
}

/// Writes one line for each call when its response has been sent or given up: caller, method, keys, code.
///
/// A call whose client sends a stream has a line of its own only if it was rejected; its handler writes a line for each
/// of the client's messages that matter, by the [`AuditTrail`] among the extensions.
#[derive(Clone)]
pub struct Audit<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S: fmt::Debug> fmt::Debug for Audit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S: NamedService> NamedService for Audit<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Audit<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<CountedBody<ResBody, AuditedCall>>;
    type Error = S::Error;
    type Future = AuditFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let Shared { kinds, config, users, .. } = &*self.shared;
        let path = request.uri().path();
        let (method, kind) = match kinds.get_key_value(path) {
            Some((path, kind)) => (Cow::Borrowed(*path), *kind),
            None => (Cow::Owned(path.to_owned()), RpcKind::Unary),
        };
        let extensions = request.extensions();
        let token = Metadata::new(request.headers()).token().map(Bytes::copy_from_slice);
        let trail = AuditTrail(Arc::new(Head {
            method,
            remote: (config.remote)(extensions),
            certificate: (config.certificate)(extensions),
            // The call may end its own token.
            user: token.as_ref().and_then(|token| users.user(token)),
            token,
            shared: Arc::clone(&self.shared),
        }));
        let is_stream = matches!(kind, RpcKind::ClientStream | RpcKind::BidiStream);
        let note = Note::want(request.extensions_mut());
        if is_stream {
            request.extensions_mut().insert(trail.clone());
        }
        let started = Instant::now();
        let call = AuditedCall {
            trail: Some(trail),
            is_stream,
            note,
            started,
            revision: FirstRevision::Unseen(Vec::new()),
            end: Code::Cancelled,
        };
        AuditFuture::new(self.inner.call(request), Some(call))
    }
}

/// The response of [`Audit`].
pub type AuditFuture<F> = CallFuture<F, AuditedCall>;

/// A call from its start to the end of its response.
pub struct AuditedCall {
    /// `None` if there will be no line.
    trail: Option<AuditTrail>,
    /// Whether its handler writes the lines.
    is_stream: bool,
    note: Note,
    started: Instant,
    revision: FirstRevision,
    /// How it ended if it is dropped.
    end: Code,
}

impl fmt::Debug for AuditedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedCall").finish_non_exhaustive()
    }
}

impl Follow for AuditedCall {
    fn ended(mut self, code: Code) {
        self.end = code;
    }

    fn begun(mut self) -> Option<Self> {
        if self.is_stream {
            self.trail = None;
            return None;
        }
        Some(self)
    }
}

impl Drop for AuditedCall {
    fn drop(&mut self) {
        let Some(trail) = self.trail.take() else { return };
        let message = self.note.message();
        trail.line(
            self.end,
            |subject| {
                if let Some(message) = message {
                    message.subject(subject);
                }
            },
            |subject| {
                if let FirstRevision::Known(revision) = self.revision {
                    subject.number("revision", revision);
                }
                subject.plain("duration", format_args!("{:?}", self.started.elapsed()));
            },
        );
    }
}

/// Watches the response on its way out.
impl Observe for AuditedCall {
    fn data(&mut self, data: &[u8]) {
        self.revision.see(data);
    }

    fn message(&mut self, _: u64) {}

    fn end(self, trailers: Option<&HeaderMap>) {
        self.ended(code_at_end(trailers));
    }
}

/// Writes the lines of one call.
#[derive(Clone)]
pub struct AuditTrail(Arc<Head>);

struct Head {
    method: Cow<'static, str>,
    remote: Option<SocketAddr>,
    certificate: Option<Arc<str>>,
    token: Option<Bytes>,
    /// At the start of the call.
    user: Option<Arc<str>>,
    shared: Arc<Shared>,
}

impl fmt::Debug for AuditTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditTrail").field("method", &self.0.method).finish_non_exhaustive()
    }
}

impl AuditTrail {
    /// The trail of a call whose client sends a stream, if calls are audited.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned()
    }

    /// Writes a line for one message of the stream. `more` is what became of it.
    pub fn write(&self, message: &dyn Describe, code: Code, more: impl FnOnce(&mut Subject)) {
        self.line(code, |subject| message.subject(subject), more);
    }

    fn line(&self, code: Code, message: impl FnOnce(&mut Subject), more: impl FnOnce(&mut Subject)) {
        let Head { method, remote, certificate, shared, .. } = &*self.0;
        let mut subject = Subject::new(shared.config.quote);
        subject.text("user", self.user(code).as_deref().unwrap_or_default());
        if let Some(name) = certificate.as_ref().filter(|name| !name.is_empty()) {
            subject.text("certificate", name);
        }
        match remote {
            Some(remote) => subject.plain("remote", remote),
            None => subject.plain("remote", "@"),
        }
        subject.text("method", method);
        message(&mut subject);
        subject.plain("code", code_name(code));
        more(&mut subject);
        shared.sink.write(&subject.into_json());
    }

    fn user(&self, code: Code) -> Option<Arc<str>> {
        // The token was looked at, and costs enough to be not looked at once more.
        let token = self.0.token.as_ref().filter(|_| code != Code::Unauthenticated)?;
        // At the start this member may not have heard of the token yet.
        self.0.user.clone().or_else(|| self.0.shared.users.user(token))
    }
}
