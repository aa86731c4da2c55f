//! The log of a removed member. In a program of its own, because its log is that of the whole program.

use std::fmt::Debug;
use std::sync::mpsc::{Sender, channel};

use ferretcd_embed::{Config, End, Server};
use tracing::field::Field;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Sends on the messages of log lines.
struct Messages(Sender<String>);

impl<S: Subscriber> Layer<S> for Messages {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut |field: &Field, value: &dyn Debug| {
            if field.name() == "message" {
                let _ = self.0.send(format!("{value:?}"));
            }
        });
    }
}

#[tokio::test]
async fn a_removed_member_transfers_no_leadership() {
    let (messages, logged) = channel();
    let subscriber = tracing_subscriber::registry().with(Messages(messages));
    tracing::subscriber::set_global_default(subscriber).expect("the only test of this program");
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::builder(Config::standalone(dir.path())).start().await.expect("started");
    server.ready().await.expect("a sole member is its own leader");
    server.engine().cluster().removed();
    assert_eq!(server.ended().await, End::Removed);
    server.stop().await;
    let messages: Vec<String> = logged.try_iter().collect();
    assert!(messages.iter().any(|message| message == "closing etcd server"), "{messages:?}");
    assert!(!messages.iter().any(|message| message.contains("leadership transfer")), "{messages:?}");
}
