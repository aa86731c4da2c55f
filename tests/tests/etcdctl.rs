//! Stock etcdctl against every target: output, error texts and exit codes as scenarios.

use ferretcd_tests::scenario::{CtlSession, run};
use ferretcd_tests::{Cluster, on_every_target, report};

async fn suite<C: Cluster>(file: &str) {
    match CtlSession::available().await {
        Ok(()) => run::<C, CtlSession>(file).await,
        Err(missing) => {
            report::skipped(&format!("{file} on {}", C::KIND.name), &format!("failed to {missing}"));
        }
    }
}

on_every_target! {
    put_get => suite("etcdctl/put_get.txt"),
    del_txn => suite("etcdctl/del_txn.txt"),
    lease => suite("etcdctl/lease.txt"),
    watch => suite("etcdctl/watch.txt"),
    maintenance => suite("etcdctl/maintenance.txt"),
}
