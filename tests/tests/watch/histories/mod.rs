//! Random workloads, and watches that follow them through slow reading, compactions and restarts of the server.
//!
//! There is one writer, so it knows the whole history. Several streams follow it with several watches each; after a
//! restart, each watch starts again behind its last known revision. At the end all events are checked. A failure
//! names its seed and the watch.

mod follower;
mod writer;

use std::sync::Arc;

use ferretcd_testkit::Random;
use ferretcd_testkit::watch_history::check;
use ferretcd_tests::{Cluster, Killable, Kind, Release, on_every_process, on_every_target, report};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::follower::{Call, Follower};
use self::writer::Writer;
use super::server::{connect, connect_narrow, start};

/// The number of restarts. A real etcd waits several seconds for open watches when it is terminated.
const fn rounds(kind: Kind) -> usize {
    if kind.reference { 1 } else { 4 }
}

const CHANGES_PER_ROUND: usize = 120;
const CALLS_AT_FIRST: usize = 6;
const WATCHES_PER_CALL: u64 = 4;

/// Small enough that catching up needs fragments.
const FLAGS: &[&str] = &["--max-request-bytes=65536", "--watch-progress-notify-interval=100ms"];

/// The writer's progress, for the followers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    revision: i64,
    /// Whether streams may be lost from now on.
    over: bool,
    /// The whole history, once everything is written.
    finished: Option<Arc<ferretcd_testkit::watch_history::Record>>,
}

struct Run<C> {
    seed: u64,
    random: Random,
    cluster: C,
    writer: Writer,
    calls: Vec<Call>,
}

impl<C: Cluster> Run<C> {
    async fn start(seed: u64) -> Option<Self> {
        if C::KIND.release < Release::V3_7 {
            // A random history exceeds the default sooner or later.
            report::skipped("histories of watches", "etcd 3.4 loses a deletion at the compacted revision");
            return None;
        }
        let cluster = start::<C>("histories of watches", FLAGS).await?;
        let mut random = Random::new(seed);
        let writer = Writer::new(random.seed(), connect(&cluster).await);
        let mut run = Self { seed, random, cluster, writer, calls: Vec::new() };
        for _ in 0..CALLS_AT_FIRST {
            run.add_call();
        }
        Some(run)
    }

    fn add_call(&mut self) {
        let record = &self.writer.record;
        let followers = (0..=self.random.below(WATCHES_PER_CALL))
            .map(|_| Follower::new(&mut self.random, record, !C::KIND.reference))
            .collect();
        self.calls.push(Call::new(self.random.seed(), followers));
    }

    /// Lets all streams follow while `work` runs.
    async fn follow(&mut self, work: impl AsyncFnOnce(&mut Writer, &mut C, &watch::Sender<Course>)) {
        let (course, _) =
            watch::channel(Course { revision: self.writer.record.revision(), ..Course::default() });
        let mut following = JoinSet::new();
        for call in self.calls.drain(..) {
            let clients = match call.is_slow() {
                true => connect_narrow(&self.cluster, 1).await,
                false => connect(&self.cluster).await,
            };
            let course = course.subscribe();
            following.spawn(async move { call.follow(&clients, course).await });
        }
        work(&mut self.writer, &mut self.cluster, &course).await;
        self.calls = following.join_all().await;
    }

    async fn restart(&mut self) {
        let seed = self.seed;
        self.cluster.restart().await.unwrap_or_else(|error| panic!("seed {seed}: failed to {error}"));
        self.writer.reconnect(connect(&self.cluster).await).await;
        self.add_call();
    }

    /// Writes until every watch has begun, waits until all events have come, and checks them.
    async fn finish(mut self) {
        self.follow(async |writer, _, course| {
            writer.write(CHANGES_PER_ROUND, course).await;
            let record = Arc::new(writer.record.clone());
            course.send_modify(|course| {
                course.over = true;
                course.finished = Some(record);
            });
        })
        .await;
        let record = &self.writer.record;
        let mut seen = 0;
        for (number, call) in self.calls.iter().enumerate() {
            for history in call.histories() {
                seen += check(record, history, record.revision()).unwrap_or_else(|violation| {
                    let (name, seed) = (C::KIND.name, self.seed);
                    let request = &history.request;
                    panic!(
                        "{name}, seed {seed}, call {number}, {request:?}: failed to {violation}\n{:#?}",
                        history.seen
                    )
                });
            }
        }
        // The suite must have compared something.
        assert!(seen > 5 * CHANGES_PER_ROUND, "only {seen} events");
    }
}

/// The server is terminated, and started again.
async fn stopped<C: Cluster>(seed: u64) {
    let Some(mut run) = Run::<C>::start(seed).await else { return };
    for _ in 0..rounds(C::KIND) {
        run.follow(async |writer, cluster, course| {
            writer.write(CHANGES_PER_ROUND, course).await;
            course.send_modify(|course| course.over = true);
            let ((), stopped) = tokio::join!(writer.write_until_rejected(), cluster.stop());
            stopped.expect("the server stops");
        })
        .await;
        run.restart().await;
    }
    run.finish().await;
}

/// The server is killed, and started again.
async fn killed<C: Killable>(seed: u64) {
    let Some(mut run) = Run::<C>::start(seed).await else { return };
    for _ in 0..rounds(C::KIND) {
        run.follow(async |writer, cluster, course| {
            writer.write(CHANGES_PER_ROUND, course).await;
            course.send_modify(|course| course.over = true);
            let ((), killed) = tokio::join!(writer.write_until_rejected(), cluster.kill9());
            killed.expect("the server can be killed");
        })
        .await;
        run.restart().await;
    }
    run.finish().await;
}

on_every_target! {
    stop_seed_1 => stopped(1),
    stop_seed_2 => stopped(2),
}

mod kills {
    use super::*;

    on_every_process! {
        kill_seed_1 => killed(1),
        kill_seed_2 => killed(2),
    }
}
