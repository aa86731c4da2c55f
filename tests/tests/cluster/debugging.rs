//! Pages for debugging, under `/debug`.

use std::process::Stdio;

use ferretcd_tests::members::{Members, Setup};
use ferretcd_tests::raw::{Page, fetch};
use ferretcd_tests::{Program, on_every_program, report};
use serde_json::{Value, json};

use super::support::put;

async fn get<P: Program>(cluster: &Members<P>, path: &str) -> Page {
    fetch(&cluster.client_url(0), "GET", path).await.expect("a running member responds")
}

async fn assert_statuses<P: Program>(cluster: &Members<P>, expected: &[(&str, &str, u16)]) {
    for (method, path, status) in expected {
        let page = fetch(&cluster.client_url(0), method, path).await.expect("a running member responds");
        assert_eq!(page.status, *status, "{method} {path}: {}", page.head);
    }
}

/// What is there without a flag.
async fn variables<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(1)).await;
    let page = get(&cluster, "/debug/vars").await;
    assert!(
        page.head.to_lowercase().contains("content-type: application/json; charset=utf-8"),
        "{}",
        page.head
    );
    let variables: Value = serde_json::from_slice(&page.body).expect("the page is JSON");
    let arguments = variables["cmdline"].as_array().expect("the command line is a list");
    assert!(arguments.iter().any(|argument| argument.as_str().is_some_and(|it| it.contains("--name"))));
    assert!(variables["file_descriptor_limit"].as_u64() > Some(100));
    let raft = &variables["raft.status"];
    let id = format!("{:x}", cluster.id(0));
    for (field, expected) in [
        ("id", json!(id)),
        ("vote", json!(id)),
        ("lead", json!(id)),
        ("raftState", json!("StateLeader")),
        ("leadtransferee", json!("0")),
    ] {
        assert_eq!(raft[field], expected, "{field} in {raft}");
    }
    let (progress, commit) = (&raft["progress"][&id], raft["commit"].as_u64());
    assert_eq!(progress["state"], json!("StateReplicate"), "{raft}");
    assert!(commit >= Some(3) && progress["match"].as_u64() >= commit, "{raft}");
    assert_eq!(progress["next"].as_u64(), progress["match"].as_u64().map(|index| index + 1), "{raft}");

    let absent =
        ["/debug", "/debug/", "/debug/pprof", "/debug/pprof/", "/debug/pprof/heap", "/debug/requests"];
    let absent = absent.map(|path| ("GET", path, 404));
    assert_statuses(&cluster, &absent).await;
    assert_statuses(&cluster, &[("POST", "/debug/vars", 405), ("OPTIONS", "/debug/vars", 200)]).await;
}

/// What the flag adds, and nothing on other ports.
async fn profiles<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(1).with(&["--enable-pprof"])).await;
    assert_statuses(
        &cluster,
        &[
            ("GET", "/debug/pprof", 307),
            ("GET", "/debug/pprof/", 200),
            ("HEAD", "/debug/pprof/", 200),
            ("POST", "/debug/pprof/cmdline", 200),
            ("GET", "/debug/pprof/symbol", 200),
            ("GET", "/debug/pprof/heap?debug=1", 200),
            ("GET", "/debug/pprof/threadcreate?debug=1", 200),
            ("GET", "/debug/pprof/nothing", 404),
            ("GET", "/debug/pprof/heap/nothing", 404),
            ("GET", "/debug/requests", 404),
        ],
    )
    .await;
    let page = fetch(&cluster.peer_url(0), "GET", "/debug/pprof/").await.expect("a running member responds");
    assert_eq!(page.status, 404);
    let command_line = get(&cluster, "/debug/pprof/cmdline").await.text();
    assert!(command_line.split('\0').any(|argument| argument == "--enable-pprof"), "{command_line}");
    for name in ["heap", "threadcreate"] {
        assert_is_profile(&get(&cluster, &format!("/debug/pprof/{name}")).await, name).await;
    }
}

/// One recording at a time, and it shows the work that goes on meanwhile.
async fn recording<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(1).with(&["--enable-pprof"])).await;
    let clients = cluster.clients(0);
    let work = tokio::spawn(async move {
        loop {
            put(&clients, "key", "value").await.expect("a sole member takes puts");
        }
    });
    let path = "/debug/pprof/profile?seconds=2";
    let (one, other) = tokio::join!(get(&cluster, path), get(&cluster, path));
    let (recorded, rejected) = if one.status == 200 { (one, other) } else { (other, one) };
    assert_is_profile(&recorded, "profile").await;
    assert_eq!(rejected.status, 500, "{}", rejected.head);
    assert_eq!(rejected.text(), "Could not enable CPU profiling: cpu profiling already in use\n");
    assert!(rejected.head.to_lowercase().contains("x-go-pprof: 1"), "{}", rejected.head);
    assert_is_profile(&get(&cluster, "/debug/pprof/profile?seconds=1").await, "the next profile").await;
    work.abort();
}

/// Go's tool reads the profile and finds samples in it.
async fn assert_is_profile(page: &Page, what: &str) {
    assert_eq!(page.status, 200, "{what}: {}", page.head);
    assert!(page.head.to_lowercase().contains("content-type: application/octet-stream"), "{}", page.head);
    let dir = tempfile::tempdir().expect("there is room for a file");
    let file = dir.path().join("profile.gz");
    std::fs::write(&file, &page.body).expect("there is room for a file");
    let mut tool = tokio::process::Command::new("go");
    tool.args(["tool", "pprof", "-raw"]).arg(&file).stdin(Stdio::null());
    match tool.output().await {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
            let samples = text.lines().skip_while(|line| !line.starts_with("Samples:")).skip(2);
            let count = samples.take_while(|line| !line.starts_with("Locations")).count();
            assert!(count > 0, "{what} has no samples:\n{text}");
        }
        Err(error) => report::skipped(what, &format!("failed to run `go tool pprof` (Go 1.26): {error}")),
    }
}

on_every_program! {
    variables_are_shown => variables(),
    profiles_are_served_if_the_flag_is_set => profiles(),
    processor_time_is_recorded => recording(),
}
