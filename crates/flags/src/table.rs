//! Every flag there is, in the order of the help. Command line, environment, configuration file and help are all
//! read off this table.

use crate::Kind::{
    Bool, Duration, Gates, Hosts, Ignored, Int, List, OneOf, Origins, Set, SomeOf, Text, Uint, Uint32, Urls,
};
use crate::Section::{Auth, Clustering, Features, Logging, Member, Monitoring, Own, Security};
use crate::Status::{Effective, NoEffect, Retiring};
use crate::{Flag, Kind, Section, Status};

/// The flag of this name, without dashes.
pub(crate) fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

const fn flag(
    section: Section,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    status: Status,
    help: &'static str,
) -> Flag {
    Flag { section, name, kind, default, status, help, file_key: Some(name), is_reloadable: false }
}

const fn ignored(name: &'static str) -> Flag {
    Flag {
        section: Section::Ignored,
        name,
        kind: Ignored,
        default: "",
        status: Status::Ignored,
        help: "",
        file_key: None,
        is_reloadable: false,
    }
}

impl Flag {
    /// The same flag, elsewhere in the configuration file.
    const fn at(mut self, key: &'static str) -> Self {
        self.file_key = Some(key);
        self
    }

    /// The same flag, out of the configuration file's reach.
    const fn not_in_file(mut self) -> Self {
        self.file_key = None;
        self
    }

    /// The same flag, with an effect whenever the configuration file is read again.
    const fn reloadable(mut self) -> Self {
        self.is_reloadable = true;
        self
    }
}

const U64: Kind = Uint(u64::MAX);

/// The flag table: etcd's 113, six of our own, and the 15 that etcd accepts and ignores.
// One row of data per flag reads best when the columns stay together.
#[rustfmt::skip]
pub static FLAGS: [Flag; 134] = [
    flag(Member, "name", Text, "default", Effective,
        "Name of this member, different from those of all other members."),
    flag(Member, "data-dir", Text, "", Effective,
        "Directory of this member's files, NAME.etcd in the working directory if empty. Created if missing."),
    flag(Member, "wal-dir", Text, "", Effective,
        "Directory of the raft log if it is to be apart from the data directory, for instance on a disk of its own."),
    flag(Member, "snapshot-count", U64, "10000", Effective,
        "Applied entries after which the raft log can be cut off again."),
    flag(Member, "snapshot-catchup-entries", U64, "5000", Effective,
        "Entries to keep in memory for members that lag behind."),
    flag(Member, "max-snapshots", U64, "5", Retiring("--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8."),
        "Raft snapshot files to keep; 0 keeps all."),
    flag(Member, "max-wals", U64, "5", Effective,
        "Segments of the raft log to keep; 0 keeps all."),
    flag(Member, "heartbeat-interval", U64, "100", Effective,
        "Milliseconds between two heartbeats of the leader: about the round trip between members."),
    flag(Member, "election-timeout", U64, "1000", Effective,
        "Milliseconds without a heartbeat after which a member calls an election. At least five heartbeats, at most \
         50000, the same on all members."),
    flag(Member, "initial-election-tick-advance", Bool, "true", Effective,
        "Shorten the wait for the first election when the member starts."),
    flag(Member, "listen-peer-urls", Urls, "http://localhost:2380", Effective,
        "Where to listen for the other members. An IP address, or localhost; 0.0.0.0 for all interfaces; unix://PATH \
         for a Unix socket, unixs://PATH for one with TLS."),
    flag(Member, "listen-client-urls", Urls, "http://localhost:2379", Effective,
        "Where to listen for clients, also unix://PATH and unixs://PATH. Needs --advertise-client-urls beside it."),
    flag(Member, "listen-client-http-urls", Urls, "", Effective,
        "Where to listen for HTTP clients, also unix://PATH; --listen-client-urls then serves gRPC alone."),
    flag(Member, "listen-metrics-urls", Urls, "", Effective,
        "Where to serve /metrics and /health besides the client addresses, also unix://PATH."),
    flag(Member, "quota-backend-bytes", Int, "0", Effective,
        "Size of the state file above which writes are refused: 0 for 2 GiB, negative for no limit.").reloadable(),
    flag(Member, "backend-bbolt-freelist-type", Text, "map", NoEffect,
        "How etcd's state file keeps track of free pages (array, map)."),
    flag(Member, "backend-batch-interval", Duration, "0s", Effective,
        "Longest time between two durable commits of the state file; 0 for 500ms."),
    flag(Member, "backend-batch-limit", Int, "0", Effective,
        "Most operations between two durable commits of the state file; 0 for 10000."),
    flag(Member, "max-txn-ops", U64, "128", Effective,
        "Most operations in a transaction."),
    flag(Member, "max-request-bytes", U64, "1572864", Effective,
        "Largest request from a client, in bytes."),
    flag(Member, "max-concurrent-streams", Uint32, "4294967295", Effective,
        "Most calls a client can have open on one connection."),
    flag(Member, "grpc-keepalive-min-time", Duration, "5s", Effective,
        "Shortest time between two pings of a client, which is disconnected if it pings more often; 0 for 5m."),
    flag(Member, "grpc-keepalive-interval", Duration, "2h0m0s", Effective,
        "Time after which an idle client is pinged; 0 for never."),
    flag(Member, "grpc-keepalive-timeout", Duration, "20s", Effective,
        "Time to wait for the answer before the connection is closed; 0 for ever."),
    flag(Member, "socket-reuse-port", Bool, "false", Effective,
        "Listen with SO_REUSEPORT, so that two processes can share an address.").at("socket-options.reuse-port"),
    flag(Member, "socket-reuse-address", Bool, "false", Effective,
        "Listen with SO_REUSEADDR, so that an address can be used again at once. It is so in any case, as in etcd.").at("socket-options.reuse-address"),
    flag(Member, "raft-read-timeout", Duration, "5s", Effective,
        "Silence after which a stream from another member is given up, 5s at least.").not_in_file(),
    flag(Member, "raft-write-timeout", Duration, "5s", Effective,
        "How long a write to a stream of another member may wait, 5s at least.").not_in_file(),
    flag(Member, "memory-mlock", Bool, "false", Effective,
        "Keep the memory of the process from being swapped out. Needs an unlimited LimitMEMLOCK, or CAP_IPC_LOCK."),
    flag(Member, "bootstrap-defrag-threshold-megabytes", U64, "0", Effective,
        "Defragment before clients are served if that frees at least so much; 0 for never."),
    flag(Member, "max-learners", Int, "1", Effective,
        "Most learners the cluster can have."),

    flag(Clustering, "initial-advertise-peer-urls", Urls, "http://localhost:2380", Effective,
        "Where the other members reach this one. Has to be in --initial-cluster."),
    flag(Clustering, "advertise-client-urls", Urls, "http://localhost:2379", Effective,
        "Where clients reach this member. Told to clients that ask for the members."),
    flag(Clustering, "initial-cluster", Text, "default=http://localhost:2380", Effective,
        "Members of a new cluster: name=url,name=url; a name with several URLs is repeated. Follows --name and \
         --initial-advertise-peer-urls if not given."),
    flag(Clustering, "initial-cluster-state", OneOf(&["new", "existing"]), "new", Effective,
        "Found the cluster (new), or join one that has added this member (existing)."),
    flag(Clustering, "initial-cluster-token", Text, "etcd-cluster", Effective,
        "Any text; clusters with different tokens never mix, even with equal URLs."),
    flag(Clustering, "strict-reconfig-check", Bool, "true", Effective,
        "Refuse changes of membership that would cost the quorum."),
    flag(Clustering, "pre-vote", Bool, "true", Effective,
        "Ask before calling an election, so that a member that comes back doesn't disturb the leader."),
    flag(Clustering, "discovery-endpoints", Set, "", Effective,
        "Another cluster in which the founders of this one leave their URLs and find those of the others.").at("discovery-config.client.endpoints"),
    flag(Clustering, "discovery-token", Text, "", Effective,
        "Name of this cluster there. The key /_etcd/registry/TOKEN/_config/size has to have the number of its founders.").at("discovery-config.token"),
    flag(Clustering, "discovery-dial-timeout", Duration, "2s", Effective,
        "Discovery: time to connect.").at("discovery-config.client.dial-timeout"),
    flag(Clustering, "discovery-request-timeout", Duration, "5s", Effective,
        "Discovery: time for a request.").at("discovery-config.client.request-timeout"),
    flag(Clustering, "discovery-keepalive-time", Duration, "2s", Effective,
        "Discovery: time between pings.").at("discovery-config.client.keepalive-time"),
    flag(Clustering, "discovery-keepalive-timeout", Duration, "6s", Effective,
        "Discovery: time to wait for a ping's answer.").at("discovery-config.client.keepalive-timeout"),
    flag(Clustering, "discovery-insecure-transport", Bool, "true", Effective,
        "Discovery: connect without TLS.").at("discovery-config.client.secure.insecure-transport"),
    flag(Clustering, "discovery-insecure-skip-tls-verify", Bool, "false", Effective,
        "Discovery: accept any certificate.").at("discovery-config.client.secure.insecure-skip-tls-verify"),
    flag(Clustering, "discovery-cert", Text, "", Effective,
        "Discovery: file of the client certificate.").at("discovery-config.client.secure.cert"),
    flag(Clustering, "discovery-key", Text, "", Effective,
        "Discovery: file of its key.").at("discovery-config.client.secure.key"),
    flag(Clustering, "discovery-cacert", Text, "", Effective,
        "Discovery: file of the authority to trust.").at("discovery-config.client.secure.cacert"),
    flag(Clustering, "discovery-user", Text, "", Effective,
        "Discovery: user, or user:password. Without a password nobody logs in.").at("discovery-config.client.auth.username"),
    flag(Clustering, "discovery-password", Text, "", Effective,
        "Discovery: password.").at("discovery-config.client.auth.password"),
    flag(Clustering, "discovery-srv", Text, "", Effective,
        "Domain whose SRV records _etcd-server-ssl._tcp (https) and _etcd-server._tcp (http) name the members."),
    flag(Clustering, "discovery-srv-name", Text, "", Effective,
        "Suffix of the service in these names, behind a dash: _etcd-server-NAME._tcp."),
    flag(Clustering, "discovery-fallback", OneOf(&["exit", "proxy"]), "exit", Effective,
        "What to do when discovery fails; only exit is left.").not_in_file(),

    flag(Security, "cert-file", Text, "", Effective,
        "Certificate of the client port, in PEM; those of the authorities in between may follow. Looked at anew for each \
         connection.").at("client-transport-security.cert-file"),
    flag(Security, "key-file", Text, "", Effective,
        "Its key.").at("client-transport-security.key-file"),
    flag(Security, "client-cert-file", Text, "", Effective,
        "Certificate for calls to the client port by the member itself. It makes none: the files are read at the start, to see \
         whether they can be used.").at("client-transport-security.client-cert-file"),
    flag(Security, "client-key-file", Text, "", Effective,
        "Its key.").at("client-transport-security.client-key-file"),
    flag(Security, "client-cert-auth", Bool, "false", Effective,
        "Serve nobody without a certificate. Its authority has to be in --trusted-ca-file or trusted by the system. Its \
         common name is the user of a request without a token.").at("client-transport-security.client-cert-auth"),
    flag(Security, "client-crl-file", Text, "", Effective,
        "Client certificates that are no longer accepted: an X.509 CRL, in DER or PEM.").not_in_file(),
    flag(Security, "client-cert-allowed-hostname", List, "", Effective,
        "Host names or addresses of which client certificates must have one; empty for any.").at("client-transport-security.allowed-hostname"),
    flag(Security, "trusted-ca-file", Text, "", Effective,
        "Authorities to trust for client certificates, in PEM. Clients without one are not served.").at("client-transport-security.trusted-ca-file"),
    flag(Security, "auto-tls", Bool, "false", Effective,
        "Make a certificate for the client port, kept in the data directory. Encrypts, and proves nothing.").at("client-transport-security.auto-tls"),
    flag(Security, "peer-cert-file", Text, "", Effective,
        "Certificate of the peer port, and for calls to other members.").at("peer-transport-security.cert-file"),
    flag(Security, "peer-key-file", Text, "", Effective,
        "Its key.").at("peer-transport-security.key-file"),
    flag(Security, "peer-client-cert-file", Text, "", Effective,
        "Certificate for calls to other members, if another one.").at("peer-transport-security.client-cert-file"),
    flag(Security, "peer-client-key-file", Text, "", Effective,
        "Its key.").at("peer-transport-security.client-key-file"),
    flag(Security, "peer-client-cert-auth", Bool, "false", Effective,
        "Talk to no other member without a certificate.").at("peer-transport-security.client-cert-auth"),
    flag(Security, "peer-trusted-ca-file", Text, "", Effective,
        "Authorities to trust for members' certificates.").at("peer-transport-security.trusted-ca-file"),
    flag(Security, "peer-crl-file", Text, "", Effective,
        "Members' certificates that are no longer accepted.").not_in_file(),
    flag(Security, "peer-cert-allowed-cn", List, "", Effective,
        "Common names of which members' certificates must have one; empty for any.").at("peer-transport-security.allowed-cn"),
    flag(Security, "peer-cert-allowed-hostname", List, "", Effective,
        "Host names or addresses of which members' certificates must have one; empty for any.").at("peer-transport-security.allowed-hostname"),
    flag(Security, "peer-auto-tls", Bool, "false", Effective,
        "Make a certificate for the peer port.").at("peer-transport-security.auto-tls"),
    flag(Security, "peer-skip-client-san-verification", Bool, "false", Effective,
        "Don't compare members' certificates with their addresses.")
        .at("peer-transport-security.skip-client-san-verification"),
    flag(Security, "self-signed-cert-validity", U64, "1", Effective,
        "Years that certificates made by --auto-tls and --peer-auto-tls last."),
    flag(Security, "cipher-suites", List, "", Effective,
        "Cipher suites of TLS 1.2 to speak, by their names in Go; empty for all. Those without ECDHE and AEAD do not exist \
         here."),
    flag(Security, "tls-min-version", Text, "TLS1.2", Effective,
        "Oldest TLS version to accept (TLS1.2, TLS1.3)."),
    flag(Security, "tls-max-version", Text, "", Effective,
        "Newest TLS version to accept; empty for no limit."),
    flag(Security, "cors", Origins, "*", Effective,
        "Origins whose scripts may call the HTTP API; * for all."),
    flag(Security, "host-whitelist", Hosts, "*", Effective,
        "Host names that HTTP requests in the clear may ask for; * for all."),

    flag(Auth, "auth-token", Text, "simple", Effective,
        "Kind of tokens: simple, or jwt with its options: jwt,sign-method=ES256,pub-key=FILE,priv-key=FILE,ttl=5m. Empty for none. \
         The key files are looked at anew every few seconds."),
    flag(Auth, "bcrypt-cost", U64, "10", Effective,
        "Work to hash a password, 4 to 31; each step doubles it."),
    flag(Auth, "auth-token-ttl", U64, "300", Effective,
        "Seconds that a simple token lasts after its last use."),

    flag(Logging, "logger", Text, "zap", Effective,
        "The form of log lines; zap is the only one."),
    flag(Logging, "log-outputs", Set, "default", Effective,
        "Where log lines go: default (stderr), stderr, stdout, systemd/journal, or files to append to."),
    flag(Logging, "log-level", Text, "info", Effective,
        "Least important lines to log: debug, info, warn (or warning), error, dpanic, panic or fatal, in any case.").reloadable(),
    flag(Logging, "log-format", Text, "json", Effective,
        "One JSON object per line (json), or text between tabs (console)."),
    flag(Logging, "enable-log-rotation", Bool, "false", Effective,
        "Begin the log file anew when it has grown; the older ones stay beside it."),
    flag(Logging, "log-rotation-config-json", Text,
        r#"{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}"#, Effective,
        "When: megabytes of a file, days and number of older ones (0 for no limit), time in their names, gzip."),
    flag(Logging, "enable-distributed-tracing", Bool, "false", Effective,
        "Send a span of each traced call to an OpenTelemetry collector."),
    flag(Logging, "distributed-tracing-address", Text, "localhost:4317", Effective,
        "Host and port of the collector, which takes OTLP by gRPC without TLS."),
    flag(Logging, "distributed-tracing-service-name", Text, "etcd", Effective,
        "Name of the service in traces."),
    flag(Logging, "distributed-tracing-instance-id", Text, "", Effective,
        "Name of this instance in traces."),
    flag(Logging, "distributed-tracing-sampling-rate", Int, "0", Effective,
        "Requests to trace out of a million, besides those that their caller traces."),

    flag(Monitoring, "enable-pprof", Bool, "false", Effective,
        "Serve profiles of the process under /debug/pprof of the client URLs."),
    flag(Monitoring, "metrics", Text, "basic", Effective,
        "How much to measure; extensive adds the time that each kind of call takes."),
    flag(Monitoring, "enable-grpc-gateway", Bool, "true", Effective,
        "Serve the API as JSON over HTTP."),
    flag(Monitoring, "auto-compaction-mode", Text, "periodic", Effective,
        "Drop history by age (periodic) or by count (revision)."),
    flag(Monitoring, "auto-compaction-retention", Text, "0", Effective,
        "History to keep: a duration or hours, or revisions; 0 keeps all."),
    flag(Monitoring, "compaction-batch-limit", Int, "0", Effective,
        "Most revisions to drop at once; 0 for 1000."),
    flag(Monitoring, "compaction-sleep-interval", Duration, "0s", Effective,
        "Pause between such batches; 0 for 10ms."),
    flag(Monitoring, "corrupt-check-time", Duration, "0s", Effective,
        "Time between comparisons of all members' data; 0 for never."),
    flag(Monitoring, "compact-hash-check-time", Duration, "1m0s", Effective,
        "Time between comparisons of all members' compaction hashes, with the feature gate CompactHashCheck."),
    flag(Monitoring, "watch-progress-notify-interval", Duration, "0s", Effective,
        "Time between progress notices to idle watchers, 100ms at least; 0 for 10m."),
    flag(Monitoring, "downgrade-check-time", Duration, "5s", Effective,
        "Time between looks at a running downgrade; 0 for never."),
    flag(Monitoring, "warning-apply-duration", Duration, "100ms", Effective,
        "Log a warning when applying a request takes longer.").reloadable(),
    flag(Monitoring, "warning-unary-request-duration", Duration, "300ms", Effective,
        "Log a warning when answering a request takes longer; 0 for 300ms.").reloadable(),

    flag(Features, "feature-gates", Gates, "", Effective,
        "Switches for behaviour that isn't settled yet. In this version LeaseCheckpoint (on by default), InitialCorruptCheck, \
         CompactHashCheck and SetMemberLocalAddr have an effect; AllAlpha and AllBeta stand for a whole stage."),
    flag(Features, "unsafe-no-fsync", Bool, "false", Effective,
        "Don't wait for the disk. A crash of the machine can lose acknowledged writes and the member."),
    flag(Features, "force-new-cluster", Bool, "false", Effective,
        "Forget all other members and go on alone."),
    flag(Features, "config-file", Text, "", Effective,
        "File with the settings, in YAML or JSON. All other flags and the environment are then ignored.")
        .not_in_file(),
    flag(Features, "v2-deprecation", SomeOf(&["write-only", "write-only-skip-check", "write-only-drop-data", "gone"]), "write-only", Retiring(
        "--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, ignoring user input."),
        "Phase of the end of etcd's version 2 store (write-only, write-only-skip-check, write-only-drop-data, gone), which is over here."),
    flag(Features, "version", Bool, "false", Effective,
        "Print the version and exit.").not_in_file(),

    flag(Own, "audit-log", Text, "", Effective,
        "Where to write a line for each request of a client, with its user, keys and outcome and without values: a file to \
         append to, stderr or stdout; empty for nowhere. Lines that cannot be written are dropped and counted. etcd does \
         not have this flag."),
    flag(Own, "client-cert-allowed-cn", List, "", Effective,
        "Common names of which client certificates must have one; empty for any.")
        .at("client-transport-security.allowed-cn"),
    flag(Own, "memory-budget", U64, "0", Effective,
        "Bytes of memory for responses that are long, 1 MiB at least; what has no room in it waits, and is rejected after \
         5 seconds. 0 is an eighth of the memory of the control group, or of the machine. etcd does not have this flag."),
    flag(Own, "refetch-corrupt-data", Bool, "false", Effective,
        "When the CORRUPT alarm is raised for this member, replace its data by those of a healthy one and take the alarm \
         back. etcd does not have this flag."),
    flag(Own, "ui", OneOf(&["loopback", "all", "none"]), "loopback", Effective,
        "Clients that get the page for people, /ui/ on the client URLs: those of this machine, over a loopback address or a \
         Unix socket (loopback), all of them, or none. etcd does not have this flag."),
    flag(Own, "worker-threads", Uint(1024), "0", Effective,
        "Threads that serve connections; 0 lets the server choose. etcd does not have this flag."),

    ignored("cluster-active-size"),
    ignored("cluster-remove-delay"),
    ignored("cluster-sync-interval"),
    ignored("config"),
    ignored("force"),
    ignored("max-result-buffer"),
    ignored("max-retry-attempts"),
    ignored("peer-heartbeat-interval"),
    ignored("peer-election-timeout"),
    ignored("retry-interval"),
    ignored("snapshot"),
    ignored("v"),
    ignored("vv"),
    ignored("test.coverprofile"),
    ignored("test.outputdir"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn count(wanted: impl Fn(&Flag) -> bool) -> usize {
        FLAGS.iter().filter(|flag| wanted(flag)).count()
    }

    #[test]
    fn the_table_has_every_flag_once() {
        assert_eq!(count(|flag| flag.section == Section::Ignored), 15);
        assert_eq!(count(|flag| flag.section == Own), 6);
        assert_eq!(count(|flag| flag.section == Member), 31);
        assert_eq!(count(|flag| flag.section == Clustering), 23);
        assert_eq!(count(|flag| flag.section == Security), 26);
        assert_eq!(count(|flag| flag.section == Logging), 11);
        assert_eq!(count(|flag| flag.section == Monitoring), 13);
        assert_eq!(FLAGS.iter().map(|flag| flag.name).collect::<BTreeSet<_>>().len(), FLAGS.len());
        let keys: Vec<_> = FLAGS.iter().filter_map(|flag| flag.file_key).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
    }

    #[test]
    fn defaults_are_of_their_kinds_and_sections_stay_together() {
        for flag in &FLAGS {
            let _ = flag.default_value();
        }
        assert!(FLAGS.is_sorted_by_key(|flag| flag.section));
    }
}
