//! The threads `watch` and `watch-history`.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Instant;

use ferretcd_mvcc::Reader;
use ferretcd_watch::HistoryRequest;

use super::thread::WatchThread;
use super::watching::Watching;
use crate::channels::Channels;
use crate::spawn::spawn;

/// The handles of both.
pub(crate) struct WatchThreads {
    watching: Arc<Watching>,
    watch: JoinHandle<()>,
    history: JoinHandle<()>,
}

impl WatchThreads {
    pub(crate) fn start(reader: &Reader, channels: &Channels) -> Self {
        let watching = &channels.watching;
        let (requests, wanted) = sync_channel::<HistoryRequest>(1);
        let history = {
            let (watching, reader) = (Arc::clone(watching), reader.clone());
            spawn("watch-history", move || {
                for request in wanted {
                    let begun = Instant::now();
                    watching.inbox.history(request.read(&reader), begun.elapsed());
                }
            })
        };
        let watch = {
            let (reader, channels) = (reader.clone(), channels.clone());
            spawn("watch", move || WatchThread::new(reader, requests, &channels).run())
        };
        Self { watching: Arc::clone(watching), watch, history }
    }

    /// Ends all streams and the threads.
    pub(crate) fn join(self) -> std::thread::Result<()> {
        self.watching.inbox.stop();
        // `watch-history` ends when the sender of its requests is dropped, which the thread `watch` owns.
        self.watch.join().and(self.history.join())
    }
}
