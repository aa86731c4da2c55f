//! The metrics of a member.

use std::thread;

use prometheus::Registry;

use crate::support::{Member, config};

const SCRAPES: usize = 2000;

fn has_cluster_version(registry: &Registry) -> bool {
    registry.gather().iter().any(|family| family.name() == "etcd_cluster_version")
}

#[test]
fn scrapes_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    while !has_cluster_version(&member.registry) {
        thread::yield_now();
    }
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for scrape in 0..SCRAPES {
                    assert!(has_cluster_version(&member.registry), "scrape {scrape}");
                }
            });
        }
    });
    member.stop();
}
