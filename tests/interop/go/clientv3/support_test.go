package clientv3

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// patience is how long a test waits for one response before it fails.
const patience = 30 * time.Second

// endpoint is where the server is; a restart may move it.
var endpoint = os.Getenv("INTEROP_ENDPOINT")

var fromHarness = bufio.NewReader(os.Stdin)

// connect makes a client that lives as long as the test.
func connect(t *testing.T, adjust ...func(*clientv3.Config)) *clientv3.Client {
	t.Helper()
	if endpoint == "" {
		t.Skip("INTEROP_ENDPOINT does not name a server")
	}
	config := clientv3.Config{
		Endpoints:   []string{endpoint},
		DialTimeout: patience,
		// The client reconnects soon after a restart.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 100 * time.Millisecond},
			MinConnectTimeout: patience,
		})},
	}
	for _, change := range adjust {
		change(&config)
	}
	client, err := clientv3.New(config)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// countWatchStreams lets a client count the streams that it opens.
func countWatchStreams(n *atomic.Int64) func(*clientv3.Config) {
	count := func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		if method == "/etcdserverpb.Watch/Watch" {
			n.Add(1)
		}
		return open(ctx, desc, conn, method, opts...)
	}
	return func(config *clientv3.Config) {
		config.DialOptions = append(config.DialOptions, grpc.WithChainStreamInterceptor(count))
	}
}

// restart lets the harness end the server, by "kill9" or by "stop", and start
// it again on its data. It returns when the server is ready and the clients are
// connected. The protocol is lines: "server: HOW" on stdout, "up URL" on stdin.
func restart(t *testing.T, how string, clients ...*clientv3.Client) {
	t.Helper()
	fmt.Printf("server: %s\n", how)
	response, err := fromHarness.ReadString('\n')
	if err != nil {
		t.Skip("no harness restarts the server")
	}
	url, isUp := strings.CutPrefix(strings.TrimSpace(response), "up ")
	if !isUp {
		t.Fatalf("the harness responded %q", response)
	}
	if url != endpoint {
		endpoint = url
		for _, client := range clients {
			client.SetEndpoints(url)
		}
	}
	// The client retries a read until it is connected; it would not retry a
	// write.
	for _, client := range clients {
		currentRevision(t, client)
	}
}

// prefix is a prefix that only this run of the test uses.
func prefix(t *testing.T) string {
	return fmt.Sprintf("%s/%x/", t.Name(), time.Now().UnixNano())
}

func put(t *testing.T, client *clientv3.Client, key, value string) int64 {
	t.Helper()
	response, err := client.Put(t.Context(), key, value)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return response.Header.Revision
}

func commit(t *testing.T, client *clientv3.Client, ops ...clientv3.Op) int64 {
	t.Helper()
	response, err := client.Txn(t.Context()).Then(ops...).Commit()
	if err != nil {
		t.Fatalf("txn: %v", err)
	}
	return response.Header.Revision
}

// currentRevision is the server's revision, by a linearizable read.
func currentRevision(t *testing.T, client *clientv3.Client) int64 {
	t.Helper()
	response, err := client.Get(t.Context(), "nothing")
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	return response.Header.Revision
}

// next takes the next response, which must be there in time and be no error.
func next(t *testing.T, responses clientv3.WatchChan) clientv3.WatchResponse {
	t.Helper()
	response, open := nextIfOpen(t, responses)
	if !open {
		t.Fatal("the watch was closed")
	}
	if err := response.Err(); err != nil {
		t.Fatalf("the watch failed: %v", err)
	}
	return response
}

func nextIfOpen(t *testing.T, responses clientv3.WatchChan) (clientv3.WatchResponse, bool) {
	t.Helper()
	select {
	case response, open := <-responses:
		return response, open
	case <-time.After(patience):
		t.Fatal("no response in time")
		return clientv3.WatchResponse{}, false
	}
}

// nextEvents takes responses until they have delivered n events. Each response
// must hold whole revisions and be as new as its last event.
func nextEvents(t *testing.T, responses clientv3.WatchChan, n int) []*clientv3.Event {
	t.Helper()
	var events []*clientv3.Event
	for len(events) < n {
		response := next(t, responses)
		if len(response.Events) == 0 {
			continue
		}
		first, last := response.Events[0], response.Events[len(response.Events)-1]
		if len(events) > 0 && events[len(events)-1].Kv.ModRevision >= first.Kv.ModRevision {
			t.Fatalf("revision %d goes on or comes again in a second response", first.Kv.ModRevision)
		}
		if response.Header.Revision < last.Kv.ModRevision {
			t.Fatalf("header says revision %d, the last event %d", response.Header.Revision, last.Kv.ModRevision)
		}
		events = append(events, response.Events...)
	}
	return events
}

// nextEvent takes the one event that the next response must consist of.
func nextEvent(t *testing.T, responses clientv3.WatchChan) *clientv3.Event {
	t.Helper()
	events := nextEvents(t, responses, 1)
	if len(events) != 1 {
		t.Fatalf("%d events instead of one", len(events))
	}
	return events[0]
}

// rest cancels a watch and takes the events that had already come.
func rest(t *testing.T, cancel context.CancelFunc, responses clientv3.WatchChan) []*clientv3.Event {
	t.Helper()
	cancel()
	var events []*clientv3.Event
	for {
		response, open := nextIfOpen(t, responses)
		if !open {
			return events
		}
		events = append(events, response.Events...)
	}
}

// line is an event as text, such as "+3 put a=1 v2 (was 0 v1)": how far its
// revision is from base, what happened, and the version.
func line(base int64, prefix string, event *clientv3.Event) string {
	var text strings.Builder
	kv := event.Kv
	fmt.Fprintf(&text, "+%d ", kv.ModRevision-base)
	key := strings.TrimPrefix(string(kv.Key), prefix)
	switch {
	case event.Type == clientv3.EventTypePut:
		fmt.Fprintf(&text, "put %s=%s v%d", key, kv.Value, kv.Version)
	case len(kv.Value) == 0 && kv.Version == 0 && kv.CreateRevision == 0 && kv.Lease == 0:
		fmt.Fprintf(&text, "delete %s", key)
	default:
		fmt.Fprintf(&text, "delete with more than key and revision: %v", kv)
	}
	if before := event.PrevKv; before != nil {
		fmt.Fprintf(&text, " (was %s v%d)", before.Value, before.Version)
		if string(before.Key) != string(kv.Key) || before.ModRevision >= kv.ModRevision {
			fmt.Fprintf(&text, " of another key or time: %v", before)
		}
	}
	return text.String()
}

func lines(base int64, prefix string, events []*clientv3.Event) []string {
	texts := make([]string, len(events))
	for i, event := range events {
		texts[i] = line(base, prefix, event)
	}
	return texts
}

func expect(t *testing.T, found, expected []string) {
	t.Helper()
	if !slices.Equal(found, expected) {
		t.Errorf("found\n  %s\nexpected\n  %s", strings.Join(found, "\n  "), strings.Join(expected, "\n  "))
	}
}

func keysOf(kvs []*mvccpb.KeyValue) []string {
	keys := make([]string, len(kvs))
	for i, kv := range kvs {
		keys[i] = string(kv.Key)
	}
	return keys
}
