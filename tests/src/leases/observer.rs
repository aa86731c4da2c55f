//! A watch that sees keys come and go.

use api_proto::etcdserverpb as pb;
use api_proto::etcdserverpb::watch_request::RequestUnion;
use api_proto::mvccpb::KeyValue;
use api_proto::mvccpb::event::EventType;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::Clients;

/// What a watch tells about one change of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The revision of the change.
    pub revision: i64,
    /// The key.
    pub key: Bytes,
    /// The row since then; none if it was deleted.
    pub row: Option<KeyValue>,
    /// The row before.
    pub before: Option<KeyValue>,
}

/// Watches all keys with a prefix and their rows before each change.
#[derive(Debug)]
pub struct Observer {
    answers: Streaming<pb::WatchResponse>,
    /// The end of this ends the watch.
    _requests: mpsc::Sender<pb::WatchRequest>,
}

impl Observer {
    /// Watches from a revision on, 0 for what comes. Returns when the watch is there.
    pub async fn begin(clients: &mut Clients, prefix: &str, revision: i64) -> Result<Self, Status> {
        let create = pb::WatchCreateRequest {
            key: prefix.to_owned().into(),
            range_end: format!("{prefix}\u{7f}").into(),
            start_revision: revision,
            prev_kv: true,
            ..Default::default()
        };
        let (requests, taken) = mpsc::channel(1);
        let create = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        requests.send(create).await.expect("there is room for it");
        let answers = clients.watch.watch(ReceiverStream::new(taken)).await?.into_inner();
        let mut observer = Self { answers, _requests: requests };
        let created = observer.message().await?;
        assert!(created.created, "a watch begins with its creation: {created:?}");
        Ok(observer)
    }

    /// The next changes, in their order; those of one revision come together.
    pub async fn next(&mut self) -> Result<Vec<Seen>, Status> {
        let message = self.message().await?;
        Ok(message.events.iter().map(seen).collect())
    }

    async fn message(&mut self) -> Result<pb::WatchResponse, Status> {
        let message = self.answers.message().await?;
        let message = message.ok_or_else(|| Status::aborted("the server ended the stream"))?;
        assert!(!message.canceled, "the watch was cancelled: {message:?}");
        Ok(message)
    }
}

fn seen(event: &api_proto::mvccpb::Event) -> Seen {
    let decode =
        |row: &api_proto::EncodedKeyValue| row.decode().expect("a server sends rows that can be decoded");
    let row = decode(event.kv.as_ref().expect("an event has a key"));
    let before = event.prev_kv.as_ref().map(decode);
    let (revision, key) = (row.mod_revision, row.key.clone());
    let row = (event.r#type() == EventType::Put).then_some(row);
    Seen { revision, key, row, before }
}
