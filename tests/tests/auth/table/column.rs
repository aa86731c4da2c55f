//! The outcomes of one identity.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_client::Rpc;
use ferretcd_tests::{Caller, Cluster};

use super::world::{Identity, World};
use crate::support::outcome;

/// One column of the table, row by row.
pub(super) struct Column {
    pub(super) identity: Identity,
    /// What was called, and code and text of the outcome.
    pub(super) cells: Vec<(String, String)>,
}

/// Fills a column, by calls to its server.
pub(super) struct Recorder<'a, C: Cluster> {
    pub(super) world: &'a mut World<C>,
    identity: Identity,
    cells: Vec<(String, String)>,
}

impl<'a, C: Cluster> Recorder<'a, C> {
    pub(super) fn new(world: &'a mut World<C>, identity: Identity) -> Self {
        Self { world, identity, cells: Vec::new() }
    }

    pub(super) fn finish(self) -> Column {
        Column { identity: self.identity, cells: self.cells }
    }

    /// The user's name, that of root for identities without one.
    pub(super) fn user(&self) -> &'static str {
        self.identity.user().unwrap_or("root")
    }

    /// The name of another user than the identity's.
    pub(super) fn other(&self) -> &'static str {
        if self.user() == "able" { "reader" } else { "able" }
    }

    pub(super) async fn caller(&self) -> Caller {
        self.world.caller(self.identity).await
    }

    fn note(&mut self, row: &str, outcome: String) {
        self.cells.push((row.to_owned(), outcome));
    }

    /// A unary call.
    pub(super) async fn call<R: Rpc>(&mut self, row: &str, request: R) {
        let response = self.caller().await.call(request).await;
        self.note(row, outcome(&response));
    }

    pub(super) async fn range_stream(&mut self, row: &str, range: pb::RangeRequest) {
        let response = self.caller().await.range_stream(range).await;
        self.note(row, outcome(&response));
    }

    pub(super) async fn snapshot(&mut self, row: &str) {
        let response = self.caller().await.snapshot().await;
        self.note(row, outcome(&response));
    }

    /// One renewal on a stream of its own.
    pub(super) async fn keep_alive(&mut self, row: &str, id: i64) {
        let response = match self.caller().await.renew(&[id]).await {
            Ok(mut renewals) => renewals.next().await,
            Err(status) => Err(status),
        };
        let outcome = match &response {
            Ok(Some(response)) => format!("ok, ttl {}", response.ttl),
            Ok(None) => "the stream ends".to_owned(),
            Err(_) => outcome(&response),
        };
        self.note(row, outcome);
    }

    /// The creation of a watch, on a stream of its own.
    pub(super) async fn watch(&mut self, row: &str, create: pb::WatchCreateRequest) {
        let mut stream = self.caller().await.watch();
        stream.create(create).await;
        let outcome = match stream.next().await {
            Ok(Some(response)) if response.canceled => {
                let (id, created) = (response.watch_id, response.created);
                format!("id {id}, created {created}: {}", response.cancel_reason)
            }
            Ok(Some(_)) => "ok".to_owned(),
            Ok(None) => "the stream ends".to_owned(),
            Err(status) => outcome::<()>(&Err(status)),
        };
        self.note(row, outcome);
    }
}
