use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, Request, Response};
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::server::NamedService;
use tower_layer::Layer;
use tower_service::Service;

/// Decides whether a request may go on at all, and finds its caller.
pub trait Authenticate: Send + Sync + 'static {
    /// Looks at the head of a request, once for each call, before anything of its body is read.
    ///
    /// Called on the runtime's worker: it must not block. A wrong credential is not rejected here: it is passed on
    /// unseen as [`AuthInfo::Token`], because errors of form and quota win over it.
    ///
    /// # Errors
    /// The status that the caller gets; the service is not called.
    fn check(&self, parts: &Parts) -> Result<AuthInfo, Status>;
}

/// The caller of a request, as the handler finds it in the request's extensions.
#[derive(Clone, Default)]
pub enum AuthInfo {
    /// No credential came with the request.
    #[default]
    Anonymous,
    /// No token, and the request says that a gateway has sent it: the certificate is the gateway's and names no user.
    Gateway,
    /// A token that was not looked at yet.
    Token(Bytes),
    /// The user of a valid credential.
    User {
        /// The user's name.
        name: Arc<str>,
        /// The revision of the auth store that the credential was made for.
        revision: u64,
    },
}

impl fmt::Debug for AuthInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Gateway => f.write_str("Gateway"),
            // It proves an identity.
            Self::Token(_) => f.write_str("Token"),
            Self::User { name, revision } => {
                f.debug_struct("User").field("name", name).field("revision", revision).finish()
            }
        }
    }
}

impl AuthInfo {
    /// The caller that [`Auth`] has found; `Anonymous` also if it did not see the request.
    pub fn of(extensions: &Extensions) -> &AuthInfo {
        static ANONYMOUS: AuthInfo = AuthInfo::Anonymous;
        extensions.get().unwrap_or(&ANONYMOUS)
    }
}

/// Puts [`Auth`] around a service.
#[derive(Debug)]
pub struct AuthLayer<A: ?Sized> {
    authenticate: Arc<A>,
}

impl<A: ?Sized> AuthLayer<A> {
    /// A layer that calls `authenticate` for each request.
    pub fn new(authenticate: Arc<A>) -> AuthLayer<A> {
        AuthLayer { authenticate }
    }
}

impl<A: ?Sized> Clone for AuthLayer<A> {
    fn clone(&self) -> AuthLayer<A> {
        AuthLayer { authenticate: self.authenticate.clone() }
    }
}

impl<S, A: ?Sized> Layer<S> for AuthLayer<A> {
    type Service = Auth<S, A>;

    fn layer(&self, inner: S) -> Auth<S, A> {
        Auth { inner, authenticate: self.authenticate.clone() }
    }
}

/// Rejects a request before its body is read, or passes its caller to the inner service ([`AuthInfo::of`]).
///
/// The body of a rejection is the body type's default, which has to be empty.
#[derive(Debug)]
pub struct Auth<S, A: ?Sized> {
    inner: S,
    authenticate: Arc<A>,
}

impl<S: Clone, A: ?Sized> Clone for Auth<S, A> {
    fn clone(&self) -> Auth<S, A> {
        Auth { inner: self.inner.clone(), authenticate: self.authenticate.clone() }
    }
}

impl<S: NamedService, A: ?Sized> NamedService for Auth<S, A> {
    const NAME: &'static str = S::NAME;
}

impl<S, A, ReqBody, ResBody> Service<Request<ReqBody>> for Auth<S, A>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    A: Authenticate + ?Sized,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = AuthFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let state = match self.authenticate.check(&parts) {
            Ok(info) => {
                // Absence means anonymous: such calls need no allocation for an extension.
                if !matches!(info, AuthInfo::Anonymous) {
                    parts.extensions.insert(info);
                }
                State::Admitted { inner: self.inner.call(Request::from_parts(parts, body)) }
            }
            Err(status) => State::Rejected { status: Some(status) },
        };
        AuthFuture { state }
    }
}

pin_project! {
    /// The response of [`Auth`]: the inner service's, or the rejection.
    #[derive(Debug)]
    pub struct AuthFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProjection]
    enum State<F> {
        Admitted { #[pin] inner: F },
        // Taken when the response is made.
        Rejected { status: Option<Status> },
    }
}

impl<F, ResBody, E> Future for AuthFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().state.project() {
            StateProjection::Admitted { inner } => inner.poll(context),
            StateProjection::Rejected { status } => {
                let status = status.take().expect("a future is not polled after it was ready");
                Poll::Ready(Ok(status.into_http()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tower_test::mock;

    use super::*;

    struct Admission;

    impl Authenticate for Admission {
        fn check(&self, parts: &Parts) -> Result<AuthInfo, Status> {
            match parts.uri.path() {
                "/closed" => Err(Status::failed_precondition("etcdserver: rpc not supported for learner")),
                "/alice" => Ok(AuthInfo::User { name: "alice".into(), revision: 7 }),
                "/token" => Ok(AuthInfo::Token(Bytes::from_static(b"abc.7"))),
                _ => Ok(AuthInfo::Anonymous),
            }
        }
    }

    fn request(path: &str) -> Request<()> {
        Request::builder().uri(path).body(()).unwrap()
    }

    #[tokio::test]
    async fn rejected_call_does_not_reach_the_service() {
        let layer: AuthLayer<dyn Authenticate> = AuthLayer::new(Arc::new(Admission));
        let (mut service, mut handle) = mock::spawn_layer::<Request<()>, Response<String>, _>(layer);
        handle.allow(1);
        mock_ready(&mut service);
        let response = service.call(request("/closed")).await.unwrap();
        assert!(response.body().is_empty());
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), "etcdserver: rpc not supported for learner");
    }

    #[tokio::test]
    async fn service_gets_the_caller() {
        async fn seen(path: &str) -> AuthInfo {
            let (mut service, mut handle) =
                mock::spawn_layer::<Request<()>, Response<String>, _>(AuthLayer::new(Arc::new(Admission)));
            handle.allow(1);
            mock_ready(&mut service);
            let call = service.call(request(path));
            let (request, respond) = handle.next_request().await.unwrap();
            respond.send_response(Response::new("done".into()));
            assert_eq!(call.await.unwrap().body(), "done");
            AuthInfo::of(request.extensions()).clone()
        }
        assert!(matches!(seen("/alice").await, AuthInfo::User { name, revision: 7 } if &*name == "alice"));
        assert!(matches!(seen("/token").await, AuthInfo::Token(token) if token == "abc.7"));
        assert!(!format!("{:?}", seen("/token").await).contains("abc"));
        assert!(matches!(seen("/anonymous").await, AuthInfo::Anonymous));
    }

    #[tokio::test]
    async fn readiness_is_that_of_the_inner_service() {
        let (mut service, mut handle) =
            mock::spawn_layer::<Request<()>, Response<String>, _>(AuthLayer::new(Arc::new(Admission)));
        handle.allow(0);
        assert!(service.poll_ready().is_pending());
        handle.allow(1);
        mock_ready(&mut service);
    }

    fn mock_ready<T>(service: &mut mock::Spawn<T>)
    where
        T: Service<Request<()>>,
        T::Error: std::fmt::Debug,
    {
        assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    }
}
