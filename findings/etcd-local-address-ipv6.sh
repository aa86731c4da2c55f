#!/usr/bin/env bash
# Software: etcd 3.7.1, feature gate SetMemberLocalAddr (go.etcd.io/etcd/server/v3/embed v3.7.1).
#
# Expected: with the gate, a member connects to its peers from the address in initial-advertise-peer-urls, the first that
# is neither loopback nor unspecified. IPv6 addresses are as good as IPv4 ones: they are so without the gate.
#
# Seen: with an IPv6 address there, the member does not start. The address is inferred without its brackets
# (embed/config.go, InferLocalAddr), and NewTransport in transport/transport.go of go.etcd.io/etcd/client/pkg appends
# ":0" to it, which is no address with a port.
#
# Matters: the gate cannot be used in a cluster on IPv6. The error, "too many colons in address", names the address with
# a ":0" that no setting contains, and not the gate.
#
# Guess: the error comes at the start, before any peer is dialled, so a cluster of one member shows it; its text is "too
# many colons in address".
#
# The addresses are from the ranges for documentation. The only member listens on loopback and dials no peer.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cannot() { echo "not tried: $1"; exit 2; }

command -v go >log 2>&1 || cannot "needs Go"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

const file = `
name: only
data-dir: %[1]s
logger: zap
log-level: fatal
listen-client-urls: http://127.0.0.1:0
advertise-client-urls: http://127.0.0.1:0
listen-peer-urls: http://127.0.0.1:0
initial-advertise-peer-urls: %[2]s
initial-cluster: only=%[2]s
feature-gates: SetMemberLocalAddr=%[3]t
`

func start(number int, url string, gate bool) string {
	text := fmt.Sprintf(file, fmt.Sprintf("member%d", number), url, gate)
	if err := os.WriteFile("etcd.yaml", []byte(text), 0o600); err != nil {
		return "no file: " + err.Error()
	}
	config, err := embed.ConfigFromFile("etcd.yaml")
	if err != nil {
		return "no configuration: " + err.Error()
	}
	member, err := embed.StartEtcd(config)
	if err != nil {
		return "error: " + err.Error()
	}
	defer member.Close()
	select {
	case <-member.Server.ReadyNotify():
		return "starts"
	case err := <-member.Err():
		return "ends: " + err.Error()
	case <-time.After(time.Minute):
		return "is not ready within a minute"
	}
}

func main() {
	number := 0
	for _, url := range []string{"http://192.0.2.1:2380", "http://[2001:db8::1]:2380"} {
		for _, gate := range []bool{false, true} {
			number++
			fmt.Printf("%-26s gate %-6t %s\n", url, gate, start(number, url, gate))
		}
	}
}
GO
{ go mod init finding && go get go.etcd.io/etcd/server/v3/embed@v3.7.1 && go build -o probe .; } >log 2>&1 || { cat log; cannot "no build"; }
./probe 2>errors | tee seen
outcomes=$(awk '{ print /error: .*too many colons in address$/ ? "error" : /starts$/ ? "starts" : "other" }' seen | xargs)
test "$outcomes" = "starts starts starts error" || { cat errors; echo "changed: $outcomes"; exit 1; }
