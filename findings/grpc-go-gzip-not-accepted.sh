#!/usr/bin/env bash
# Software: grpc-go 1.82.1 (google.golang.org/grpc), a server that has imported its package encoding/gzip.
#
# Expected: grpc-accept-encoding decides. A client that lists gzip gets compressed responses, one that lists only identity
# never does, whatever it sends itself.
#
# Seen: only the encoding of the request decides. A request that names gzip is answered in gzip also when the client accepts
# identity alone; a plain request is answered plainly also when the client accepts gzip.
#
# Matters: a client that compresses what it sends has to be able to read gzip, whatever it says. One that only wants to
# save on what it receives saves nothing, and a server that goes by the header behaves differently from one of grpc-go.
#
# Guess: the header, in both directions.
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
	golang.org/x/net v0.48.0
	google.golang.org/grpc v1.82.1
)
MOD
cat >main.go <<'GO'
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	go server.Serve(listener)
	client := http.Client{Transport: &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(_ context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, address)
		},
	}}
	for _, call := range []struct {
		sent     string
		accepted string
	}{{"identity", "gzip"}, {"gzip", "identity"}} {
		flag, message := byte(0), []byte{}
		if call.sent == "gzip" {
			var packed bytes.Buffer
			writer := gzip.NewWriter(&packed)
			writer.Close()
			flag, message = 1, packed.Bytes()
		}
		body := append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(message))), message...)
		url := "http://" + listener.Addr().String() + "/grpc.health.v1.Health/Check"
		request, _ := http.NewRequest("POST", url, bytes.NewReader(body))
		request.Header.Set("content-type", "application/grpc")
		request.Header.Set("te", "trailers")
		request.Header.Set("grpc-encoding", call.sent)
		request.Header.Set("grpc-accept-encoding", call.accepted)
		response, err := client.Do(request)
		if err != nil {
			panic(err)
		}
		answer, _ := io.ReadAll(response.Body)
		received := "identity"
		if len(answer) > 0 && answer[0] == 1 {
			received = "gzip"
		}
		fmt.Printf("sent %s accepted %s received %s grpc-status %s\n",
			call.sent, call.accepted, received, response.Trailer.Get("grpc-status"))
	}
}
GO
{ go mod tidy && go build -o finding .; } >log 2>&1 || { cat log; cannot "no module"; }
./finding | tee seen
outcomes=$(awk '{ print $6, $8 }' seen | paste -sd,)
test "$outcomes" = "identity 0,gzip 0" || { echo "changed: $outcomes"; exit 1; }
