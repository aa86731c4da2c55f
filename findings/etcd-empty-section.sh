#!/usr/bin/env bash
# Software: etcd 3.7.1, its configuration file (go.etcd.io/etcd/server/v3/embed v3.7.1).
#
# Expected: the two sections for TLS, client-transport-security and peer-transport-security, have the same keys and obey
# the same rules. A section whose keys are all commented out is an empty value in YAML: nothing is set, both load.
#
# Seen: the empty section for clients loads, the empty one for peers is an error, "invalid peer-transport-security". With
# empty braces both load.
#
# Matters: turning TLS between peers off by commenting the keys out keeps a member from starting; the same edit for
# clients works. The text of the error does not say that emptiness is the reason. An implementer that reads both sections
# with one piece of code accepts what etcd rejects.
#
# Guess: the peer section without a value is an error; so is one whose keys are all comments; braces load.
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

	"go.etcd.io/etcd/server/v3/embed"
)

func main() {
	for _, section := range []string{"client-transport-security", "peer-transport-security"} {
		for _, value := range []string{"", "\n  # cert-file: member.pem", " {}"} {
			text := section + ":" + value + "\n"
			if err := os.WriteFile("etcd.yaml", []byte(text), 0o600); err != nil {
				panic(err)
			}
			outcome := "loads"
			if _, err := embed.ConfigFromFile("etcd.yaml"); err != nil {
				outcome = "error: " + err.Error()
			}
			fmt.Printf("%-58q %s\n", text, outcome)
		}
	}
}
GO
{ go mod init finding && go get go.etcd.io/etcd/server/v3/embed@v3.7.1 && go build -o probe .; } >log 2>&1 || { cat log; cannot "no build"; }
./probe 2>warnings | tee seen
outcomes=$(awk '{ print /error: invalid peer-transport-security$/ ? "error" : /loads$/ ? "loads" : "other" }' seen | xargs)
test "$outcomes" = "loads loads loads error error loads" || { echo "changed: $outcomes"; exit 1; }
