package main

import "fmt"

// cases returns the configuration files, always the same ones: every kind of scalar for every type of setting, and files
// that stand for a rule each.
func cases() []string {
	var all []string
	for _, key := range keys {
		for _, scalar := range scalars {
			all = append(all, fmt.Sprintf(key, scalar))
		}
	}
	for _, group := range [][]string{marks, documents, structure, names, maps, aliases, lists, sections, texts, rules} {
		all = append(all, group...)
	}
	return all
}

// One setting of each type.
var keys = []string{
	"name: %s\n",
	"snapshot-count: %s\n",
	"quota-backend-bytes: %s\n",
	"pre-vote: %s\n",
	"grpc-keepalive-interval: %s\n",
	"peer-transport-security: {allowed-cn: %s}\n",
}

var scalars = []string{
	// truth
	"y", "Y", "yes", "Yes", "YES", "yEs", "n", "N", "no", "No", "NO", "nO", "on", "On", "ON", "oN", "off", "Off", "OFF",
	"oFF", "true", "True", "TRUE", "tRUE", "false", "False", "FALSE", "fALSE", "t", "f", "1", "0",
	// nothing
	"", "~", "null", "Null", "NULL", "nULL", "'null'", `"~"`, `""`, "''",
	// whole numbers
	"500", "+500", "-500", "-0", "+0", "0x1F4", "0X1f4", "0xg", "0o764", "0O764", "0o8", "0764", "08", "-08", "0b111110100",
	"0B11", "0b2", "-0b11", "1_000", "1__000", "_1000", "1000_", "0x_1F", "+0x10", "-0x10", "10:30", "1:00", "4294967296",
	"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615",
	"18446744073709551616", "99999999999999999999",
	// other numbers
	"1.0", "1.5", ".5", "5.", "-.5", "1e3", "1E3", "1e+3", "1e-3", "1.5e3", "1.25e2", "-1.5", "-1e3", "1e19", "1e20", "1e21",
	"1152921504606846976.0", "9007199254740993.0", "-0.0", "0.0", ".inf", "-.inf", "+.Inf", ".INF", ".iNF", ".nan", ".NaN",
	"1e999", ".5e999", "1_0.5", "0x1p4", "1e", "+", "-x", "..", "infinity", "NaN", "1 2",
	// texts
	"x", "'x'", `"x"`, "'yes'", `"500"`, `"\x35"`, "5s", "'5s'", "1h30m", "2001-01-01", "2001-01-01T00:00:00Z", "=", "<<",
	"@x", "`x", "%x", "-", "?x", ":x", "a: b", "a:b", "a #b", "a#b", "|\n  500", ">\n  x\n  y", ">-\n  x", "x\n  y",
	// tags
	"!!str 500", "!!str yes", "!!str ~", `!!int "500"`, "!!int 5.0", "!!int x", "!!float 5", "!!float 5.5", "!!float .inf",
	"!!float 18446744073709551615", "!!bool yes", `!!bool "no"`, "!!bool 1", "!!null ~", `!!null ""`, "!!null x",
	"!!binary eA==", `!!binary "*"`, "!custom 500", "! 500", "!<tag:yaml.org,2002:int> 500", "!!seq [x]", "!!map {}",
	"&a 500", "*a",
	// collections
	"[]", "[x]", "[1]", "[yes]", "[~]", "['x', \"y\"]", "[x, [y]]", "[x,]", "[,]", "[x", "{}", "{a: b}", "{a, b}", "{a: }", "[a: b]",
}

var marks = []string{
	"\ufeffname: a\n", "\ufeff# comment\r\nname: a\r\n", "\ufeff", "\ufeff---\nname: a\n", "\n\ufeffname: a\n", "name: \ufeffa\n",
	"\ufeff\ufeffname: a\n", "name: a\r\npre-vote: no\r\n", "name: a\rpre-vote: no\r", "name: a\u0085pre-vote: no\n",
	"name: a\u2028pre-vote: no\n", "name: a\x00\n", "name: a\x01\n", "name: \"a\x7f\"\n", "name: a\u00a0b\n", "name: \U0001F600\n",
	"name: \uffff\n",
}

var documents = []string{
	"", "\n", " ", "# nothing\n", "---\n", "---\n...\n", "--- null\n", "~\n", "null\n", "{}\n", "[]\n", "- a\n", "5\n", "text\n", "true\n",
	".inf\n", "--- {name: a}\n", "---\nname: a\n...\n", "name: a\n...\n", "name: a\n---\nname: b\n", "---\n---\nname: b\n",
	"name: a\n---\n[broken\n", "name: a\n...\nname: b\n", "name: a\n... # end\n---\npre-vote: 5\n", "name: a\n--- - -\n",
	"%YAML 1.1\n---\nname: a\n", "%YAML 1.2\n---\nname: a\n", "%YAML 1.0\n---\nname: a\n", "%YAML 2.0\n---\nname: a\n", "%FOO bar\n---\nname: a\n",
	"%TAG !e! tag:yaml.org,2002:\n---\nname: !e!str 5\n", "name: !e!str 5\n", "%YAML 1.1\nname: a\n", "%YAML 1.1\n%YAML 1.1\n---\nname: a\n",
}

var structure = []string{
	`{"name": "a", "pre-vote": false, "snapshot-count": 7}`, "{\"name\":\t\"a\"}", `{"name":"a","pre-vote":false}`, `{"name": "a",}`, `{"name": "\u0061\/"}`,
	"{\n\t\"name\": \"a\"\n}\n", "{name: a, pre-vote: no}\n", "{name: a\npre-vote: no}\n", "name: a # comment\n", "name: a #\n# end", "name:a\n", "name : a\n",
	"name:\ta\n", "name: a\t\n", "\tname: a\n", "name: a\n\tb\n", "name: a\n pre-vote: no\n", " name: a\n pre-vote: no\n", " name: a\npre-vote: no\n",
	"  name: a\n pre-vote: no\n", "name: a\n\n\npre-vote: no\n", "name: a: b\n", "name: 'a\n", "name: \"a\n", "name: 'a''b'\n", "name: 'a\n  b'\n", "name: \"a\\\n  b\"\n",
	"name: \"\\q\"\n", "name: \"\\t\\n\\e\\N\\_\\x41\\u0042\\U00000043\"\n", "name: \"\\ud83d\"\n", "\"name\": a\n", "'name': a\n", "? name\n: a\n", "? name\n", "? |\n  name\n: a\n",
	"name: |\n  a\n  b\n\n", "name: 'a", "name: a", "name: !a, b\n", "name: a # [!b, c]\n", "log-outputs: [stderr # !b, c\n  ]\n", "name: |-\n  a\n  b\n", "name: |+\n  a\n\n", "name: >\n  a\n  b\n\n  c\n", "name: |2\n    a\n", "name: |\n a\n  b\n", "name: |0\n  a\n", "name: >x\n  a\n",
	"name: a\n- b\n", "- name: a\n", "socket-options:\n  reuse-port: yes\n", "socket-options:\nreuse-port: yes\n", "socket-options:\n- a\n", "log-outputs:\n- stderr\n- stdout\n",
	"log-outputs:\n  - stderr\n  - stdout\n", "log-outputs:\n - stderr\n  - stdout\n", "log-outputs: - stderr\n", "log-outputs: [stderr,\n  stdout]\n", "log-outputs: [stderr,\nstdout]\n",
	"name: a}\n", "name: ]a\n", "name: {a\n", "name: a,b\n", "name: [a]]\n", "a\n", "a\nname: b\n", "name\n", "name:\n  a\n", "name:\n\n  a\n", "name:\na\n",
	"name: -a\n", "name: - a\n", "name: !\n", "name: !!str\n", "name: &a\n", "name: & a\n", "name: *\n", "name: a &b\n", "name: a *b\n", "name: \"a\" b\n", "name: 'a'#b\n", "name: 'a' #b\n",
	"name: http://a:1\n", "name: a:\n", "name: :\n", "name: ::a\n", "{name: a:1}\n", "{name: http://a:1}\n", "[name: a]\n", "{name:a}\n", "{\"name\":a}\n", "{name: , pre-vote: no}\n",
	"{? name : a}\n", "{name:}\n", "{name}\n", "{a: [b, {c: d}]}\n", "name: [a, b]: c\n",
}

var names = []string{
	"Name: a\n", "NAME: a\n", "nAmE: a\n", "name: a\nName: b\n", "Name: b\nname: a\n", "NAME: c\nName: b\n", "name: a\nNAME: ~\n", "name: a\nname: b\n", "name: a\n'name': b\n",
	"name: a\nname: ~\n", "name: a\nname: 5\n", "name: 5\nname: a\n", "name: 5\nNAME: a\n", "Snapshot-Count: 7\n", "\u017fnapshot-count: 7\n", "max-learner\u017f: 7\n", "cipher-\u017fuites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n",
	"bac\u212aend-batch-limit: 7\n", "snapshot_count: 7\n", "snapshotcount: 7\n", "snapshot-count : 7\n", "' snapshot-count': 7\n", "socket-options: {Reuse-Port: yes}\n", "SOCKET-OPTIONS: {reuse-port: yes}\n",
	"socket-options: {reuse-port: yes}\nSocket-Options: {reuse-address: yes}\n", "socket-options: {reuse-port: yes}\nsocket-options: {reuse-address: yes}\n", "socket-options: {reuse-port: yes, Reuse-Port: no}\n",
	"unknown: 5\n", "unknown: {a: [b]}\n", "unknown: .inf\n", "unknown: [.nan]\n", "unknown: 1e999\n", "unknown: 1e308\n", "enable-v2: true\n", "version: true\n", "config-file: a\n", "force-new-cluster: yes\n",
	"socket-options: {unknown: 5}\n", "client-transport-security: {crl-file: a}\n", "client-crl-file: a\n", "raft-read-timeout: 5\n", "discovery-fallback: junk\n", "worker-threads: ~\n",
}

var maps = []string{
	"1: a\n", "1.5: a\n", "yes: a\nname: b\n", "~: a\n", "null: a\n", ": a\n", "'': a\n", "[a]: b\n", "{a: b}: c\n", "18446744073709551615: a\n", "9223372036854775807: a\n", ".inf: a\n", ".nan: a\n.NaN: b\n",
	"2001-01-01: a\n", "!!binary bmFtZQ==: a\n", "!!str name: a\n", "!!int name: a\n", "!custom name: a\n", "1: a\n1: b\n1.0: c\n'1': d\n", "true: a\nyes: b\n", "a: {1: b, 2: c}\n", "a: {~: b}\n", "a: {[b]: c}\n",
	"<<: {name: a}\n", "<<: {name: a}\nname: b\n", "name: b\n<<: {name: a}\n", "<<: [{name: a}, {name: b, pre-vote: no}]\n", "<<: {name: a}\n<<: {name: b}\n", "<<: a\n", "<<: [a]\n", "<<: ~\n", "<<: []\n", "'<<': {name: a}\n",
	"!!merge <<: {name: a}\n", "!!str <<: {name: a}\n", "base: &b {name: a, pre-vote: no}\n<<: *b\n", "base: &b {name: a}\n<<: [*b, {pre-vote: no}]\n", "base: &b a\n<<: *b\n", "base: &b [{name: a}]\n<<: *b\n",
	"socket-options: {<<: {reuse-port: yes}}\n", "base: &b {reuse-port: yes}\nsocket-options: {<<: *b, reuse-address: yes}\n", "<<: {<<: {name: a}}\n",
}

var aliases = []string{
	"base: &a x\nname: *a\n", "base: &a 7\nsnapshot-count: *a\n", "name: *a\nbase: &a x\n", "name: *missing\n", "base: &a x\nother: &a y\nname: *a\n", "base: &a [x, y]\ncipher-suites: *a\n", "base: &a [*a]\n", "base: &a {b: *a}\n",
	"? &a name\n: x\nother: *a\n", "base: &a name\n*a : x\n", "base: &a name\n*a: x\n", "base: &a-b.c x\nname: *a-b.c\n", "base: &ä x\nname: *ä\n", "base: &a\nname: *a\n", "base: &a yes\npre-vote: *a\nname: *a\n", "base: &a !!str yes\nname: *a\n",
	"base: &b {reuse-port: yes}\nsocket-options: *b\n", "name: &a\npre-vote: no\n", "name: &a *a\n", "name: &a &b x\n",
}

var lists = []string{
	"log-outputs: stderr\n", "log-outputs: 'stderr,stdout'\n", "log-outputs: [stderr]\n", "log-outputs: [stdout, stderr]\n", "log-outputs: [stderr, stderr]\n", "log-outputs: []\n", "log-outputs: ~\n", "log-outputs: [default, stderr]\n", "log-outputs: [5]\n", "log-outputs: [~]\n", "log-outputs: [~, stderr]\n", "log-outputs: ['file:///dev/null']\n",
	"log-outputs: ['5.log']\n", "log-outputs: {a: b}\n", "cipher-suites: [TLS_AES_128_GCM_SHA256, TLS_RSA_WITH_AES_128_CBC_SHA]\n", "cipher-suites: ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384']\n",
	"listen-client-urls: http://127.0.0.1:1,http://127.0.0.1:2\n", "listen-client-urls: http://127.0.0.1:2, http://127.0.0.1:1\n", "listen-client-urls: [http://127.0.0.1:1]\n", "listen-client-urls: ''\n", "listen-client-urls: http://127.0.0.1:1,\n",
	"listen-client-urls: http://127.0.0.1:1,http://127.0.0.1:1\n", "listen-client-urls: ' http://127.0.0.1:1 '\n", "listen-client-urls: http://a.example:1\n", "listen-client-urls: http://127.0.0.1\n", "listen-client-urls: http://127.0.0.1:1/a\n", "listen-client-urls: ftp://127.0.0.1:1\n",
	"listen-client-urls: HTTP://127.0.0.1:1\n", "listen-client-urls: 5\n", "listen-peer-urls: http://localhost:1\n", "listen-peer-urls: unix://a:1\n", "listen-metrics-urls: http://[::1]:1\n", "listen-metrics-urls: https://127.0.0.1:1,http://127.0.0.1:1\n", "listen-client-http-urls: http://127.0.0.1:1\n",
	"advertise-client-urls: http://a.example:1\n", "advertise-client-urls: http://:1\n", "initial-advertise-peer-urls: http://a:1,http://a:2\n", "initial-advertise-peer-urls: http://:1\n",
	"cors: '*'\n", "cors: ''\n", "cors: http://a:1\n", "cors: http://b:1,http://a:1\n", "cors: [http://a:1]\n", "host-whitelist: b,a\n", "host-whitelist: 'a, b'\n", "host-whitelist: a,a\n", "host-whitelist: ''\n", "host-whitelist: [a]\n", "host-whitelist: '*'\n", "host-whitelist: ','\n", "host-whitelist: 5\n",
}

var sections = []string{
	"socket-options: ~\n", "socket-options: 5\n", "socket-options: []\n", "socket-options: x\n", "socket-options: {}\n", "socket-options: {reuse-port: ~}\n", "socket-options: {reuse-port: 1}\n", "socket-options: {reuse-port: 'yes'}\n",
	"peer-transport-security: ~\n", "peer-transport-security:\n", "peer-transport-security: {}\n", "peer-transport-security: 5\n", "peer-transport-security: []\n", "Peer-Transport-Security: ~\n", "client-transport-security: ~\n", "client-transport-security: 5\n",
	"client-transport-security: {cert-file: a, key-file: b, trusted-ca-file: c, client-cert-auth: on, allowed-cn: [d], allowed-hostname: [], auto-tls: off}\n",
	"peer-transport-security: {cert-file: a, key-file: b, client-cert-file: c, client-key-file: d, allowed-hostname: [e, f], skip-client-san-verification: y}\n", "peer-transport-security: {cert-file: 5}\n", "peer-transport-security: {allowed-cn: a}\n",
	"discovery-config: ~\n", "discovery-config: {client: ~}\n", "discovery-config: {token: 5}\n", "discovery-config: {token: t}\n", "discovery-config: {client: {endpoints: [a]}}\n", "discovery-config: {token: t, client: {endpoints: [a:1, 'b:2'], dial-timeout: 1000000000, request-timeout: 1e9}}\n",
	"discovery-config: {token: t, client: {endpoints: a}}\n", "discovery-config: {token: t, client: {endpoints: ['']}}\n", "discovery-config: {client: {keepalive-time: 5s}}\n", "discovery-config: {client: {secure: {insecure-transport: no, cert: a, key: b, cacert: c, insecure-skip-tls-verify: yes}, auth: {username: u, password: p}}}\n",
	"discovery-config: {client: {secure: {}, auth: {}}}\n", "discovery-srv: example.com\n", "discovery-srv: example.com\ninitial-cluster: a=http://a:1\n", "discovery-srv-name: x\n",
}

var texts = []string{
	"auto-compaction-retention: 1\n", "auto-compaction-retention: '1'\n", "auto-compaction-retention: 1h\n", "auto-compaction-retention: 1.5\n", "initial-cluster-token: 5\n", "initial-cluster-token: 1e3\n", "initial-cluster-token: 0x10\n", "initial-cluster-token: no\n", "initial-cluster-token: 2001-01-01\n",
	"initial-cluster-token: 10.0.0.1\n", "initial-cluster-token: 10:30\n", "data-dir: /var/lib/etcd\n", "data-dir: ~/etcd\n", "data-dir: C:\\etcd\n", "data-dir: \"C:\\etcd\"\n", "initial-cluster: a=http://a:1,b=http://b:1\n", "initial-cluster: {a: b}\n", "log-rotation-config-json: '{\"maxsize\": 5}'\n", "log-rotation-config-json: {maxsize: 5}\n",
	"backend-batch-interval: 100000000\n", "backend-batch-interval: -1\n", "max-concurrent-streams: 4294967295\n", "max-concurrent-streams: 4294967296\n", "max-concurrent-streams: -1\n", "max-learners: -1\n", "max-learners: 1.0\n", "backend-batch-limit: 1e3\n", "max-wals: 0x5\n",
	"compact-hash-check-time: 1\n", "compact-hash-check-time: 0\n", "warning-apply-duration: 1e8\n", "self-signed-cert-validity: 0\n", "self-signed-cert-validity: 3\n", "bcrypt-cost: 99\n", "auth-token: junk\n", "metrics: junk\n", "backend-bbolt-freelist-type: junk\n", "distributed-tracing-sampling-rate: -5\n",
}

var rules = []string{
	"feature-gates: LeaseCheckpoint=true\n", "feature-gates: Junk=true\n", "feature-gates: LeaseCheckpoint\n", "feature-gates: LeaseCheckpoint=yes\n", "feature-gates: {LeaseCheckpoint: true}\n", "feature-gates: ''\n", "feature-gates: LeaseCheckpointPersist=true\n", "feature-gates: 'LeaseCheckpoint=T, LeaseCheckpointPersist = 1'\n",
	"feature-gates: ','\n", "feature-gates: leasecheckpoint=true\n", "feature-gates: AllBeta=false\n", "feature-gates: LeaseCheckpoint=false,LeaseCheckpoint=true\n", "feature-gates: ' '\n",
	"initial-cluster-state: existing\n", "initial-cluster-state: Existing\n", "initial-cluster-state: ''\n", "initial-cluster-state: junk\n", "initial-cluster-state: ' new'\n", "auto-compaction-mode: revision\n", "auto-compaction-mode: Revision\n", "auto-compaction-mode: ''\n", "auto-compaction-mode: junk\n",
	"logger: zap\n", "logger: capnslog\n", "logger: ''\n", "logger: ZAP\n", "log-format: console\n", "log-format: JSON\n", "log-format: ''\n", "log-format: junk\n", "log-level: warning\n", "log-level: DEBUG\n", "log-level: ''\n", "log-level: dpanic\n",
	"v2-deprecation: junk\n", "v2-deprecation: gone\n", "v2-deprecation: 5\n", "max-snapshots: 5\n", "tls-min-version: TLS1.3\n", "tls-min-version: tls1.2\n", "tls-min-version: TLS1.1\n", "tls-min-version: ''\n", "tls-max-version: TLS1.2\n", "tls-min-version: TLS1.3\ntls-max-version: TLS1.2\n",
	"tls-min-version: TLS1.3\ncipher-suites: [junk]\n", "cipher-suites: [junk]\n", "heartbeat-interval: 0\n", "election-timeout: 0\n", "heartbeat-interval: 300\n", "election-timeout: 50001\n", "enable-distributed-tracing: yes\ndistributed-tracing-sampling-rate: -5\n",
	"enable-log-rotation: yes\n", "enable-log-rotation: yes\nlog-outputs: [a.log]\nlog-rotation-config-json: junk\n", "enable-log-rotation: yes\nlog-outputs: [stderr, stdout]\n", "log-rotation-config-json: junk\n",
}
