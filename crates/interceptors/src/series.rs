use std::collections::BTreeMap;

use parking_lot::RwLock;
use prometheus::{Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};
use tonic::Code;

use crate::rpc::{Rpc, RpcKind};

/// The codes a call can end with, in the order of their numbers, as the label `grpc_code` names them.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// The name of a code.
pub(crate) fn code_name(code: Code) -> &'static str {
    CODES[code as usize]
}

/// The series of one method, looked up once so that a call only adds.
#[derive(Debug)]
pub(crate) struct MethodSeries {
    pub(crate) kind: RpcKind,
    pub(crate) started: IntCounter,
    pub(crate) received: IntCounter,
    pub(crate) sent: IntCounter,
    /// Only with extensive metrics.
    pub(crate) handling: Option<Histogram>,
    /// By code, as in `CODES`.
    handled: Vec<IntCounter>,
    /// Payload bytes of all methods together.
    pub(crate) received_bytes: IntCounter,
    pub(crate) sent_bytes: IntCounter,
}

impl MethodSeries {
    pub(crate) fn handled(&self, code: Code) -> &IntCounter {
        &self.handled[code as usize]
    }
}

/// The families behind the series.
#[derive(Debug)]
pub(crate) struct Families {
    started: IntCounterVec,
    handled: IntCounterVec,
    received: IntCounterVec,
    sent: IntCounterVec,
    handling: Option<HistogramVec>,
    received_bytes: IntCounter,
    sent_bytes: IntCounter,
}

impl Families {
    pub(crate) fn register(extensive: bool, registry: &Registry) -> Result<Families, Error> {
        const METHOD: [&str; 3] = ["grpc_type", "grpc_service", "grpc_method"];
        const METHOD_AND_CODE: [&str; 4] = ["grpc_type", "grpc_service", "grpc_method", "grpc_code"];
        Ok(Families {
            started: counters(registry, "grpc_server_started_total", "RPCs started.", &METHOD)?,
            handled: counters(
                registry,
                "grpc_server_handled_total",
                "RPCs completed, with any code.",
                &METHOD_AND_CODE,
            )?,
            received: counters(
                registry,
                "grpc_server_msg_received_total",
                "Messages received from clients.",
                &METHOD,
            )?,
            sent: counters(registry, "grpc_server_msg_sent_total", "Messages sent to clients.", &METHOD)?,
            handling: extensive.then(|| handling(registry, &METHOD)).transpose()?,
            received_bytes: counter(
                registry,
                "etcd_network_client_grpc_received_bytes_total",
                "Bytes of messages received from gRPC clients.",
            )?,
            sent_bytes: counter(
                registry,
                "etcd_network_client_grpc_sent_bytes_total",
                "Bytes of messages sent to gRPC clients.",
            )?,
        })
    }

    /// Creates the series of `rpc`, all at zero.
    pub(crate) fn method(&self, rpc: &Rpc) -> MethodSeries {
        let labels = [rpc.kind().grpc_type(), rpc.service(), rpc.method()];
        let [kind, service, method] = labels;
        MethodSeries {
            kind: rpc.kind(),
            started: self.started.with_label_values(&labels),
            received: self.received.with_label_values(&labels),
            sent: self.sent.with_label_values(&labels),
            handling: self.handling.as_ref().map(|handling| handling.with_label_values(&labels)),
            handled: CODES
                .iter()
                .map(|code| self.handled.with_label_values(&[kind, service, method, code]))
                .collect(),
            received_bytes: self.received_bytes.clone(),
            sent_bytes: self.sent_bytes.clone(),
        }
    }
}

/// `etcd_server_client_requests_total`: calls by the version that the client's library claims.
///
/// Any client can send any version, so only a bounded number of them gets a series of its own; the others
/// count as `unknown`, as do calls without a version. A series appears with its first call, as in etcd.
#[derive(Debug)]
pub(crate) struct ClientVersions {
    family: IntCounterVec,
    unary: Versions,
    stream: Versions,
}

/// By version. Written when a version is first seen, read for each call. There are few, so a tree finds one sooner
/// than a hash would be computed.
type Versions = RwLock<BTreeMap<String, IntCounter>>;

const UNKNOWN: &str = "unknown";
const VERSIONS_MAX: usize = 128;
const VERSION_BYTES_MAX: usize = 32;

impl ClientVersions {
    pub(crate) fn register(registry: &Registry) -> Result<ClientVersions, Error> {
        let family = counters(
            registry,
            "etcd_server_client_requests_total",
            "Calls by type and by the client's API version.",
            &["type", "client_api_version"],
        )?;
        Ok(ClientVersions { family, unary: Versions::default(), stream: Versions::default() })
    }

    pub(crate) fn count(&self, kind: RpcKind, version: Option<&str>) {
        let version = version.unwrap_or(UNKNOWN);
        let (label, versions) = match kind {
            RpcKind::Unary => ("unary", &self.unary),
            RpcKind::ClientStream | RpcKind::ServerStream | RpcKind::BidiStream => ("stream", &self.stream),
        };
        let seen = versions.read().get(version).map(IntCounter::inc).is_some();
        if !seen {
            self.series_of(label, versions, version).inc();
        }
    }

    fn series_of(&self, label: &str, versions: &Versions, version: &str) -> IntCounter {
        let mut versions = versions.write();
        let has_room = versions.len() < VERSIONS_MAX || versions.contains_key(version);
        let version = if version.len() > VERSION_BYTES_MAX || !has_room { UNKNOWN } else { version };
        let series = || self.family.with_label_values(&[label, version]);
        versions.entry(version.to_owned()).or_insert_with(series).clone()
    }
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, Error> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
    let family = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn handling(registry: &Registry, labels: &[&str]) -> Result<HistogramVec, Error> {
    let opts = HistogramOpts::new("grpc_server_handling_seconds", "Time from a call's start to its end.");
    let family = HistogramVec::new(opts, labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_the_numbers_of_their_codes() {
        for (number, name) in CODES.iter().enumerate() {
            let code = Code::from_i32(number as i32);
            let spelled = match code {
                Code::Ok => "OK".into(),
                Code::Cancelled => "Canceled".into(),
                code => format!("{code:?}"),
            };
            assert_eq!(*name, spelled);
        }
    }

    #[test]
    fn invented_versions_create_a_bounded_number_of_series() {
        let versions = ClientVersions::register(&Registry::new()).unwrap();
        for n in 0..VERSIONS_MAX + 10 {
            versions.count(RpcKind::Unary, Some(&format!("3.{n}")));
            versions.count(RpcKind::BidiStream, Some(&"9".repeat(VERSION_BYTES_MAX + 1)));
        }
        versions.count(RpcKind::Unary, Some("3.0"));
        versions.count(RpcKind::Unary, None);
        assert_eq!(versions.family.with_label_values(&["unary", "3.0"]).get(), 2);
        assert_eq!(versions.family.with_label_values(&["unary", UNKNOWN]).get(), 11);
        assert_eq!(versions.unary.read().len(), VERSIONS_MAX + 1);
        assert_eq!(versions.stream.read().len(), 1);
    }
}
