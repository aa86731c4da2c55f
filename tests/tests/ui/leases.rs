//! The view of leases.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Caller, Cluster as _};

use crate::support::{assert_quiet, put_with, view, with_browser};

#[tokio::test]
async fn leases_count_down_and_end() {
    let Some((server, mut browser)) = with_browser("the view of leases", &[]).await else { return };
    let caller = Caller::of(&server.endpoint());
    for (id, ttl) in [(0x10, 600), (0x7fff_ffff_ffff_ffff, 3600)] {
        caller.call(pb::LeaseGrantRequest { ttl, id }).await.expect("it grants leases");
    }
    put_with(&server, "locks/a", "x", 0x10).await;
    browser.open(&view(&server, "leases")).await;
    browser.until_shown("2 leases.").await;
    browser.until_shown("7fffffffffffffff").await;
    let row =
        "[...document.querySelectorAll('tbody tr')].find((it) => it.cells[3].textContent === 'locks/a')";
    browser.until(&format!("{row}.cells[0].textContent === '10'")).await;
    // Less with each second, in minutes and seconds.
    let left = format!(
        "/^(\\d+) min (\\d+) s/.exec({row}.cells[1].textContent).slice(1).reduce((all, it) => 60 * all + +it, 0)"
    );
    let first = browser.value(&left).await.as_f64().expect("a number");
    assert!((1.0..=600.0).contains(&first), "{first}");
    browser.until(&format!("{left} < {first}")).await;
    caller.call(pb::LeaseRevokeRequest { id: 0x10 }).await.expect("it revokes leases");
    browser.until_shown("1 lease.").await;
    browser.until_gone("locks/a").await;
    assert_quiet(&server, &browser);
}
