#!/usr/bin/env bash
# Software: grpc-go 1.82.1, the version in go.mod of etcd 3.7.1.
#
# Expected: the log line "Header list size to send (...) is larger than the upcoming default limit (8192 bytes). In release
# v1.82.0, ... will be enabled by default" names the calls that an upgrade breaks, and 1.82.1 has the new default.
#
# Seen: 1.82.1 still has the old default, 16 MiB. A client prints the line only if the server has announced a limit, and a
# server announces a limit only if it was configured. Such a server keeps its limit under the new default, so the call that
# was warned about works before and after; the call to a server with defaults is not warned about and is the one that fails.
#
# Matters: an operator that upgrades by the log is misled twice: no line is no promise, and a line is no
# problem. What decides is whether the server sets grpc.MaxHeaderListSize, and which setting its process has:
# GRPC_GO_EXPERIMENTAL_ENABLE_8KB_DEFAULT_HEADER_LIST_SIZE.
#
# Guess: a line for the configured server, none for the other; with the new default the call to the latter ends with
# Internal.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cannot() { echo "not tried: $1"; exit 2; }

command -v go >log 2>&1 || cannot "needs Go"
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// call sends metadata of 9 KiB to a server with the given options.
func call(options ...grpc.ServerOption) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(options...)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(listener)
	defer server.Stop()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client, request := grpc_health_v1.NewHealthClient(conn), &grpc_health_v1.HealthCheckRequest{}
	if _, err := client.Check(ctx, request); err != nil { // the server's settings have arrived after it
		return err
	}
	for range 9 {
		ctx = metadata.AppendToOutgoingContext(ctx, "field", strings.Repeat("x", 1024))
	}
	_, err = client.Check(ctx, request)
	return err
}

func main() {
	var err error
	if os.Args[1] == "configured" {
		err = call(grpc.MaxHeaderListSize(1 << 20))
	} else {
		err = call()
	}
	fmt.Println(status.Code(err))
}
GO
{ go mod init finding && go get google.golang.org/grpc@v1.82.1 google.golang.org/grpc/health@v1.82.1 && go build -o probe .; } >log 2>&1 || { cat log; cannot "no build"; }
export GRPC_GO_LOG_SEVERITY_LEVEL=warning
for server in configured defaults; do
	for new_default in unset true; do
		setting=GRPC_GO_EXPERIMENTAL_ENABLE_8KB_DEFAULT_HEADER_LIST_SIZE
		if test $new_default = unset; then unset $setting; else export $setting=$new_default; fi
		code=$(./probe $server 2>lines)
		warnings=$(grep -c "larger than the upcoming default limit" lines || true)
		grep -h "upcoming default limit" lines || true
		echo "server: $server, new default: $new_default, warnings: $warnings, call: $code" | tee -a seen
	done
done
outcomes=$(awk '{ print $(NF - 2) $NF }' seen | xargs)
test "$outcomes" = "1,OK 0,OK 0,OK 0,Internal" || { echo "changed: $outcomes"; exit 1; }
