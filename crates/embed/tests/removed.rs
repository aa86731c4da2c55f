//! The log of a removed member. In a program of its own, because its log is that of the whole program.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use ferretcd_embed::{Config, End, Server};
use tracing::field::Field;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// The messages of log lines. Clones share them.
#[derive(Clone, Default)]
struct Messages(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Messages {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut |field: &Field, value: &dyn Debug| {
            if field.name() == "message" {
                self.0.lock().expect("no holder panics").push(format!("{value:?}"));
            }
        });
    }
}

#[tokio::test]
async fn a_removed_member_transfers_no_leadership() {
    let log = Messages::default();
    let subscriber = tracing_subscriber::registry().with(log.clone());
    tracing::subscriber::set_global_default(subscriber).expect("the only test of this program");
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::builder(Config::standalone(dir.path())).start().await.expect("started");
    server.ready().await.expect("a sole member is its own leader");
    server.engine().cluster().removed();
    assert_eq!(server.ended().await, End::Removed);
    server.stop().await;
    let messages = log.0.lock().expect("no holder panics").clone();
    assert!(messages.iter().any(|message| message == "closing etcd server"), "{messages:?}");
    assert!(!messages.iter().any(|message| message.contains("leadership transfer")), "{messages:?}");
}
