//! The view of leases.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Caller, Cluster as _};

use crate::support::{assert_quiet, put_with, view, with_browser};

#[tokio::test]
async fn leases_count_down_and_end() {
    let Some((server, mut browser)) = with_browser("the view of leases", &[]).await else { return };
    let caller = Caller::of(&server.endpoint());
    for (id, ttl) in [(0x10, 8), (0x7fff_ffff_ffff_ffff, 3600)] {
        caller.call(pb::LeaseGrantRequest { ttl, id }).await.expect("it grants leases");
    }
    put_with(&server, "locks/a", "x", 0x10).await;
    browser.open(&view(&server, "leases")).await;
    browser.until_shown("2 leases.").await;
    browser.until_shown("locks/a").await;
    browser.until_shown("7fffffffffffffff").await;
    let seconds = "Number(/^(\\d+) s/.exec(document.querySelector('tbody tr').cells[1].textContent)[1])";
    browser.until(&format!("{seconds} > 0 && {seconds} < 6")).await;
    browser.until_shown("1 lease.").await;
    browser.until_gone("locks/a").await;
    assert_quiet(&server, &browser);
}
