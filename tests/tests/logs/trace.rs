//! Lines about requests that had to wait.

use std::time::Duration;

use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Caller, Program, on_every_program};
use serde_json::Value;
use tokio::time::timeout;

use crate::support::{assert_begins_with, put, text};

on_every_program! {
    requests_that_waited_are_traced => traced(),
}

/// A quorum is away for a while, with a put on its way.
async fn traced<P: Program>() {
    // Nothing is elected meanwhile.
    let setup = Setup::of(3).with(&["--election-timeout=5000"]);
    let cluster = Members::<P>::start(&setup).await;
    let leader = cluster.leader().await;
    let caller = Caller::of(&cluster.client_url(leader));
    let others: Vec<_> = (0..3).filter(|number| *number != leader).collect();
    others.iter().for_each(|number| cluster.pause(*number));
    let mut put = tokio::spawn(async move { caller.call(put("k", "secret")).await });
    // Longer than the threshold, which is no flag.
    timeout(Duration::from_millis(300), &mut put).await.expect_err("there is no quorum");
    others.iter().for_each(|number| cluster.go_on(*number));
    put.await.expect("it does not panic").expect("a put");
    let line = until("the trace", DEADLINE, async || {
        let logs = cluster.logs(leader);
        let line = logs
            .lines()
            .find(|line| line.contains(r#""msg":"trace""#) && line.contains(r#""operation":"put""#));
        line.map(str::to_owned).ok_or(logs.clone())
    })
    .await;
    let names = [
        "level",
        "ts",
        "caller",
        "msg",
        "trace_id",
        "operation",
        "detail",
        "duration",
        "start",
        "end",
        "steps",
        "step_count",
    ];
    assert_begins_with(&line, &names);
    let json: Value = serde_json::from_str(&line).expect("a line is JSON");
    assert_eq!((text(&json, "level"), text(&json, "msg")), ("info".to_owned(), "trace".to_owned()));
    let detail = text(&json, "detail");
    assert!(detail.starts_with("{key:k; req_size:11; response_revision:2; }"), "{line}");
    let steps = json["steps"].as_array().expect("steps are a list");
    assert_eq!((steps.len(), &json["step_count"]), (1, &Value::from(1)), "{line}");
    assert!(
        steps[0].as_str().is_some_and(|step| step.starts_with("'process raft request'  (duration: ")),
        "{line}"
    );
    if P::KIND.reference {
        return;
    }
    let stages = json["stages"].as_object().unwrap_or_else(|| panic!("no stages in {line}"));
    for stage in ["queue", "propose", "sync", "replicate", "apply", "encode"] {
        assert!(stages.contains_key(stage), "{stage}: {line}");
    }
    assert!(seconds(&stages["replicate"]) > 0.1, "{line}");
}

/// A duration as it is written.
fn seconds(duration: &Value) -> f64 {
    let text = duration.as_str().expect("durations are texts");
    let units = [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let (number, unit) = units
        .into_iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
        .expect("each duration has a unit");
    number.parse::<f64>().expect("a number is before it") * unit
}
