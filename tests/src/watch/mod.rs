//! Watch streams, one response at a time.

mod response;

use std::mem;

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::watch_request::RequestUnion;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status, Streaming};

use crate::Clients;
use crate::client::RESPONSE_WITHIN;

pub use self::response::Response;
pub use ferretcd_testkit::watch_history::Event;

/// The id in responses that belong to no watch, or to all of the stream.
pub const NO_WATCH: i64 = -1;

/// Requests queued for the connection.
const REQUESTS: usize = 16;

/// One rpc of the Watch service. Dropping it cancels the rpc.
///
/// A response is read from the connection only by [`next`](Self::next): a test that does not call it stops reading,
/// and once the connection's windows are full the server can send nothing more.
#[derive(Debug)]
pub struct WatchStream {
    /// None after the half close.
    requests: Option<mpsc::Sender<pb::WatchRequest>>,
    call: Call,
}

/// A server sends response headers with its first response, so opening lasts until there is one.
#[derive(Debug)]
enum Call {
    Opening(JoinHandle<Result<Streaming<pb::WatchResponse>, Status>>),
    Open(Box<Streaming<pb::WatchResponse>>),
    Failed,
}

impl WatchStream {
    /// Begins an rpc.
    pub fn open(clients: &Clients) -> Self {
        Self::open_with(clients, MetadataMap::new())
    }

    /// Begins an rpc with this metadata.
    pub fn open_with(clients: &Clients, metadata: MetadataMap) -> Self {
        let (requests, sent) = mpsc::channel(REQUESTS);
        let mut call = Request::new(ReceiverStream::new(sent));
        *call.metadata_mut() = metadata;
        let mut client = clients.watch.clone();
        let opening = tokio::spawn(async move { Ok(client.watch(call).await?.into_inner()) });
        Self { requests: Some(requests), call: Call::Opening(opening) }
    }

    /// Sends a request as it is, or one without content. It is lost if the rpc has ended.
    pub async fn send(&self, request_union: Option<RequestUnion>) {
        let requests = self.requests.as_ref().expect("nothing is sent after the half close");
        let sent = timeout(RESPONSE_WITHIN, requests.send(pb::WatchRequest { request_union })).await;
        // It errs when the rpc has ended, which the next response reports.
        let _ = sent.expect("the server takes requests");
    }

    /// Requests a watch.
    pub async fn create(&self, request: pb::WatchCreateRequest) {
        self.send(Some(RequestUnion::CreateRequest(request))).await;
    }

    /// Requests the end of a watch.
    pub async fn cancel(&self, watch_id: i64) {
        self.send(Some(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id }))).await;
    }

    /// Requests the progress of the stream.
    pub async fn request_progress(&self) {
        self.send(Some(RequestUnion::ProgressRequest(pb::WatchProgressRequest {}))).await;
    }

    /// Closes the sending side. Watches go on.
    pub fn half_close(&mut self) {
        self.requests = None;
    }

    /// Waits for the next response; none once the server has ended the rpc without an error. Without a response for
    /// 30 s it errs with the code DeadlineExceeded. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Response>, Status> {
        let next = timeout(RESPONSE_WITHIN, self.next_at_all()).await;
        next.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(format!("no response within {RESPONSE_WITHIN:?}")))
        })
    }

    /// As [`next`](Self::next), without a deadline.
    pub async fn next_at_all(&mut self) -> Result<Option<Response>, Status> {
        if let Call::Opening(opening) = &mut self.call {
            let opened = opening.await.expect("the call does not panic");
            self.call = Call::Failed;
            self.call = Call::Open(Box::new(opened?));
        }
        match &mut self.call {
            Call::Open(responses) => Ok(responses.message().await?.map(Response::from)),
            _ => Err(Status::unknown("the call has failed already")),
        }
    }

    /// The next response of a stream that must have one.
    pub async fn response(&mut self) -> Response {
        match self.next().await {
            Ok(Some(response)) => response,
            Ok(None) => panic!("the server ended the watch stream"),
            Err(status) => panic!("the watch stream failed: {status}"),
        }
    }

    /// Requests a watch and waits for its response, which is the next one of the stream.
    pub async fn created(&mut self, request: pb::WatchCreateRequest) -> Response {
        self.create(request).await;
        let response = self.response().await;
        assert!(response.created, "{response:?} answers no creation");
        response
    }

    /// The responses of this stream up to the one that completes this number of events.
    pub async fn until_events(&mut self, events: usize) -> Vec<Response> {
        let (mut taken, mut count) = (Vec::new(), 0);
        while count < events {
            let response = self.response().await;
            count += response.events.len();
            taken.push(response);
        }
        taken
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        if let Call::Opening(opening) = mem::replace(&mut self.call, Call::Failed) {
            opening.abort();
        }
    }
}
