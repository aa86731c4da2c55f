//! The view of the members.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{Members, Setup};
use ferretcd_tests::{Browser, Caller, Cluster as _, Ferretcd};

use crate::support::{assert_quiet, put, view, with_browser};

#[tokio::test]
async fn the_member_its_health_and_its_rates_are_shown() {
    let Some((server, mut browser)) = with_browser("the view of a member", &["--metrics=extensive"]).await
    else {
        return;
    };
    browser.open(&view(&server, "cluster")).await;
    browser.until_shown("healthy").await;
    browser.until_shown("leader").await;
    // Clients' addresses lead to the page of each member, those for members nowhere.
    let links = "[...document.querySelectorAll('tbody a')].map((it) => it.href).join()";
    browser.until(&format!("{links} === '{}/ui/'", server.endpoint())).await;
    browser.until_shown("None.").await;
    let legend = "[...document.querySelectorAll('figure')].find((it) => it.textContent.includes('Requests per second'))";
    browser.until(&format!("{legend}.querySelector('path').getAttribute('d').includes('L')")).await;
    // Puts are seen in the rates and, as they are measured, in the latencies.
    let mut writes = tokio::spawn(async move {
        for n in 0..200 {
            put(&server, "a", n.to_string()).await;
        }
        server
    });
    browser.until(&format!("/put [1-9]/.test({legend}.textContent)")).await;
    let sync =
        "[...document.querySelectorAll('figure')].find((it) => it.textContent.includes('Sync of the log'))";
    browser.until(&format!("/median [0-9.]+ (µs|ms)/.test({sync}.textContent)")).await;
    browser.until_shown("Unary calls, as clients see them").await;
    let server = (&mut writes).await.expect("puts succeed");
    assert_quiet(&server, &browser);
}

#[tokio::test]
async fn alarms_are_shown_until_they_are_taken_back() {
    let Some((server, mut browser)) = with_browser("alarms", &[]).await else { return };
    browser.open(&view(&server, "cluster")).await;
    browser.until_shown("None.").await;
    let caller = Caller::of(&server.endpoint());
    let mut alarm = pb::AlarmRequest {
        action: pb::alarm_request::AlarmAction::Activate.into(),
        alarm: pb::AlarmType::Nospace.into(),
        member_id: 1,
    };
    caller.call(alarm).await.expect("it is raised");
    browser.until_shown("NOSPACE").await;
    browser.until_shown("unhealthy").await;
    alarm.action = pb::alarm_request::AlarmAction::Deactivate.into();
    caller.call(alarm).await.expect("it is taken back");
    browser.until_gone("NOSPACE").await;
    browser.until_gone("unhealthy").await;
    // The page of health says so by its status.
    let is_of_health = |complaint: &&String| !complaint.contains("/health");
    assert_eq!(browser.complaints().iter().filter(is_of_health).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn other_members_are_connected_or_not() {
    let Some(mut browser) = Browser::start("the view of a cluster", &[]).await else { return };
    let mut cluster = Members::<Ferretcd>::start(&Setup::of(3)).await;
    browser.open(&format!("{}/ui/", cluster.client_url(0))).await;
    let states = "[...document.querySelectorAll('table[aria-label=Members] tbody tr')].map((it) => it.cells[3].textContent)";
    browser.until(&format!("{states}.filter((it) => it.startsWith('connected')).length === 2")).await;
    browser.until_shown("Round trips to other members").await;
    cluster.kill9(2).await;
    browser.until(&format!("{states}.includes('not connected')")).await;
}

#[tokio::test]
async fn without_the_gateway_the_page_says_so() {
    let Some((server, mut browser)) =
        with_browser("the page without the gateway", &["--enable-grpc-gateway=false"]).await
    else {
        return;
    };
    for name in ["cluster", "keys", "leases"] {
        browser.open(&view(&server, name)).await;
        browser.until_shown("--enable-grpc-gateway=false").await;
    }
    browser.open(&view(&server, "cluster")).await;
    // What needs no gateway is there.
    browser.until("/Memory\\s+[0-9.]+ MiB/.test(document.body.innerText)").await;
}
