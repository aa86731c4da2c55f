//! A watch of all keys with a prefix.

use ferretcd_api_proto::etcdserverpb as pb;
use tonic::Status;

use crate::{Clients, Event, WatchStream};

/// Watches all keys with a prefix, with their previous rows.
#[derive(Debug)]
pub struct Observer(WatchStream);

impl Observer {
    /// Watches from a revision on, 0 for future changes. Returns when the watch is created.
    pub async fn begin(clients: &Clients, prefix: &str, revision: i64) -> Self {
        let create = pb::WatchCreateRequest {
            key: prefix.to_owned().into(),
            range_end: format!("{prefix}\u{7f}").into(),
            start_revision: revision,
            prev_kv: true,
            ..Default::default()
        };
        let mut stream = WatchStream::open(clients);
        stream.created(create).await;
        Self(stream)
    }

    /// The next changes in order; those of one revision come together. Has no deadline.
    pub async fn next(&mut self) -> Result<Vec<Event>, Status> {
        let response = self.0.next_at_all().await?;
        let response = response.ok_or_else(|| Status::aborted("the server ended the stream"))?;
        assert!(!response.canceled, "the watch was cancelled: {response:?}");
        Ok(response.events)
    }
}
