#!/usr/bin/env bash
# Software: go-grpc-middleware providers/prometheus 1.1.0 (github.com/grpc-ecosystem), with grpc-go 1.82.1.
#
# Expected: grpc_server_msg_received_total and grpc_server_msg_sent_total count messages, as their help texts say.
#
# Seen: they count calls of RecvMsg and SendMsg, whatever came of them. A stream with one message from the client counts two
# received, because the server learns of the end by one more call. A unary call that fails counts one message sent, though
# its response has none.
#
# Matters: who divides bytes by these counters gets a size that no message has, and a server in another language that counts
# messages shows other numbers on the same dashboard.
#
# Guess: one received for the stream, none sent for the failed call.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cannot() { echo "not tried: $1"; exit 2; }

command -v go >log 2>&1 || cannot "needs Go"
cat >go.mod <<'MOD'
module finding
go 1.24
require (
	github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus v1.1.0
	github.com/prometheus/client_golang v1.23.2
	google.golang.org/grpc v1.82.1
)
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	counters := grpcprom.NewServerMetrics()
	server := grpc.NewServer(
		grpc.UnaryInterceptor(counters.UnaryServerInterceptor()),
		grpc.StreamInterceptor(counters.StreamServerInterceptor()))
	healthpb.RegisterHealthServer(server, health.NewServer())
	reflection.RegisterV1(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go server.Serve(listener)
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)

	// A unary call that fails: there is no such service.
	_, err = healthpb.NewHealthClient(connection).Check(context.Background(), &healthpb.HealthCheckRequest{Service: "absent"})
	if err == nil {
		panic("the call has not failed")
	}
	// A stream with one message in each direction.
	stream, err := reflectionpb.NewServerReflectionClient(connection).ServerReflectionInfo(context.Background())
	must(err)
	must(stream.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{},
	}))
	must(stream.CloseSend())
	for err == nil {
		_, err = stream.Recv()
	}
	if err != io.EOF {
		panic(err)
	}
	server.GracefulStop()

	registry := prometheus.NewRegistry()
	registry.MustRegister(counters)
	families, err := registry.Gather()
	must(err)
	for _, family := range families {
		name := family.GetName()
		if name != "grpc_server_msg_received_total" && name != "grpc_server_msg_sent_total" {
			continue
		}
		for _, metric := range family.Metric {
			if count := metric.GetCounter().GetValue(); count > 0 {
				method := ""
				for _, label := range metric.Label {
					if label.GetName() == "grpc_method" {
						method = label.GetValue()
					}
				}
				fmt.Printf("%s %s %v\n", name, method, count)
			}
		}
	}
}
GO
{ go mod tidy && go build -o finding .; } >log 2>&1 || { cat log; cannot "no module"; }
./finding | sort | tee seen
outcomes=$(awk '{ print $2, $3 }' seen | paste -sd,)
test "$outcomes" = "Check 1,ServerReflectionInfo 2,Check 1,ServerReflectionInfo 1" || { echo "changed: $outcomes"; exit 1; }
