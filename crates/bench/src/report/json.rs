//! Every sample, for programs.

use serde_json::{Value, json};

use crate::result::Results;

/// `samples` has one object per load and server, with one list per metric and one value per round in it.
pub(crate) fn render(results: &Results, setting: &[String]) -> Value {
    let samples: Vec<Value> = results
        .samples
        .iter()
        .map(|((cell, product), rounds)| {
            let metrics = rounds.iter().flat_map(|round| round.keys());
            let values: serde_json::Map<String, Value> = metrics
                .map(|metric| {
                    let values: Vec<f64> =
                        rounds.iter().filter_map(|round| round.get(metric).copied()).collect();
                    (metric.title().to_owned(), json!(values))
                })
                .collect();
            json!({
                "workload": cell.workload.name(),
                "clients": cell.clients,
                "server": product.name(),
                "rounds": values,
            })
        })
        .collect();
    json!({ "setting": setting, "samples": samples, "failures": results.failures })
}
