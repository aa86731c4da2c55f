#!/usr/bin/env bash
# Software: python-etcd3 0.12.0 (PyPI etcd3, with grpcio 1.85.3 and protobuf 3.20.3), on etcd 3.7.1.
#
# Expected: a watch from a revision that is compacted raises RevisionCompactedError, which the package has for exactly that,
# and from which a caller learns where to begin again.
#
# Seen: watch_once raises AttributeError: the error takes the place of the response, and the function asks it for its events.
# watch_once_response raises nothing, and returns the error as if it were the response. A watch with a callback gets the
# error as its argument.
#
# Matters: code that catches RevisionCompactedError around these functions never runs. What shows up is a fault that looks
# like one of the program, and only after the first compaction.
#
# Guess: RevisionCompactedError from both.
set -euo pipefail

work=$(mktemp -d)
trap 'kill "$server" 2>"$work/end" || true; rm -rf "$work"' EXIT
server=
cd "$work"
cannot() { echo "not tried: $1"; exit 2; }

command -v go >log 2>&1 || cannot "needs Go"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
)

func main() {
	config := embed.NewConfig()
	config.Dir, config.LogLevel = "data", "fatal"
	free := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenClientUrls, config.ListenPeerUrls = free, free
	member, err := embed.StartEtcd(config)
	if err != nil {
		panic(err)
	}
	<-member.Server.ReadyNotify()
	fmt.Println(member.Clients[0].Addr())
	<-member.Err()
}
GO
{ go mod init finding && go get go.etcd.io/etcd/server/v3/embed@v3.7.1 && go build -o member .; } >log 2>&1 || { cat log; cannot "no build"; }
{ python3 -m venv venv && venv/bin/pip install -q etcd3==0.12.0 grpcio==1.85.3 protobuf==3.20.3; } >log 2>&1 || { cat log; cannot "no package"; }
mkfifo address
./member >address 2>errors &
server=$!
read -r address <address || { cat errors; cannot "no member"; }
cat >probe.py <<'PYTHON'
import sys

import etcd3

host, port = sys.argv[1].rsplit(":", 1)
client = etcd3.client(host=host, port=int(port))
for value in ["1", "2", "3"]:
    client.put("key", value)
client.compact(client.get("key")[1].mod_revision)
for watch in [client.watch_once, client.watch_once_response]:
    try:
        print(watch.__name__, "returns", type(watch("key", timeout=30, start_revision=2)).__name__)
    except Exception as error:
        print(watch.__name__, "raises", type(error).__name__)
PYTHON
venv/bin/python probe.py "$address" 2>log | tee seen || { cat log; cannot "no calls"; }
outcomes=$(awk '{ print $2, $3 }' seen | paste -sd,)
test "$outcomes" = "raises AttributeError,returns RevisionCompactedError" || { cat log; echo "changed: $outcomes"; exit 1; }
