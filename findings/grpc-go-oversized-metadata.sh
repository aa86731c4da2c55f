#!/usr/bin/env bash
# Software: grpc-go 1.82.1, the version in go.mod of etcd 3.7.1, as server with default options (etcd sets no limit either).
#
# Expected: metadata beyond the server's limit for the header list ends the call that sent it. Other calls on the same
# connection go on, as after any error of one HTTP/2 stream, and it makes no difference how the bytes are spread over
# fields.
#
# Seen: it depends on the shape. A little too much in several fields ends the call alone, with Internal. One field above the
# limit, or much too much in several, ends the connection without a GOAWAY frame: all its calls end with Unavailable. The
# limit is 16 MiB by default, 8 KiB with the setting that is announced as the next default; neither is announced to clients.
#
# Matters: a watch or a lease's keep-alive ends because of another call on the connection, which may be another user's if a
# proxy shares connections. Unavailable invites a retry, and each retry ends the next connection. With 8 KiB as limit, one
# long token is enough.
#
# Guess: with the limit of 8 KiB, ten fields of 1 KiB end the call alone, one field of 9 KiB ends the connection; with
# 16 MiB, both 17 fields of 1 MiB and one of 17 MiB end the connection.
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
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// try makes a call with metadata while a stream is open on the same connection, and says how both fare.
func try(fields, size int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server, service := grpc.NewServer(), health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, service)
	go server.Serve(listener)
	defer server.Stop()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client, request := grpc_health_v1.NewHealthClient(conn), &grpc_health_v1.HealthCheckRequest{}
	stream, err := client.Watch(ctx, request)
	if err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}

	large := ctx
	for field := range fields {
		large = metadata.AppendToOutgoingContext(large, "field-"+strconv.Itoa(field), strings.Repeat("x", size))
	}
	_, callErr := client.Check(large, request)
	service.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	_, streamErr := stream.Recv()
	fmt.Printf("%2d fields of %8d bytes: call %v stream %v  %v\n", fields, size, status.Code(callErr), status.Code(streamErr), message(callErr))
	return nil
}

func message(err error) string {
	return status.Convert(err).Message()
}

func main() {
	for _, argument := range os.Args[1:] {
		var fields, size int
		_, err := fmt.Sscanf(argument, "%dx%d", &fields, &size)
		if err == nil {
			err = try(fields, size)
		}
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
}
GO
{ go mod init finding && go get google.golang.org/grpc@v1.82.1 google.golang.org/grpc/health@v1.82.1 && go build -o probe .; } >log 2>&1 || { cat log; cannot "no build"; }
{
	GRPC_GO_EXPERIMENTAL_ENABLE_8KB_DEFAULT_HEADER_LIST_SIZE=true ./probe 7x1024 10x1024 1x9216 30x1024
	GRPC_GO_EXPERIMENTAL_ENABLE_8KB_DEFAULT_HEADER_LIST_SIZE=false ./probe 15x1048576 1x16777000 1x17825792 17x1048576
} | tee seen
outcomes=$(awk '{ print $7 "/" $9 }' seen | xargs)
expected="OK/OK Internal/OK Unavailable/Unavailable Unavailable/Unavailable" # for either limit
test "$outcomes" = "$expected $expected" || { echo "changed: $outcomes"; exit 1; }
