package clientv3

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
)

// changes is a small history of the keys a to c: each element one revision.
func changes(prefix string) [][]clientv3.Op {
	a, b, c := prefix+"a", prefix+"b", prefix+"c"
	return [][]clientv3.Op{
		{clientv3.OpPut(a, "1")},
		{clientv3.OpPut(b, "1")},
		{clientv3.OpPut(a, "2")},
		{clientv3.OpDelete(a)},
		{clientv3.OpPut(c, "1"), clientv3.OpPut(a, "3"), clientv3.OpPut(b, "2")},
		{clientv3.OpDelete(prefix, clientv3.WithPrefix())},
		{clientv3.OpPut(b, "3")},
		{clientv3.OpPut(b, "3")},
	}
}

var selections = []struct {
	name     string
	key      string
	options  func(prefix string) []clientv3.OpOption
	expected []string
}{
	{"one key", "a", nil, []string{
		"+1 put a=1 v1", "+3 put a=2 v2", "+4 delete a", "+5 put a=3 v1", "+6 delete a",
	}},
	{"prefix", "", func(string) []clientv3.OpOption {
		return []clientv3.OpOption{clientv3.WithPrefix()}
	}, []string{
		"+1 put a=1 v1", "+2 put b=1 v1", "+3 put a=2 v2", "+4 delete a",
		"+5 put c=1 v1", "+5 put a=3 v1", "+5 put b=2 v2",
		"+6 delete a", "+6 delete b", "+6 delete c", "+7 put b=3 v1", "+8 put b=3 v2",
	}},
	{"range", "b", func(prefix string) []clientv3.OpOption {
		return []clientv3.OpOption{clientv3.WithRange(prefix + "c")}
	}, []string{
		"+2 put b=1 v1", "+5 put b=2 v2", "+6 delete b", "+7 put b=3 v1", "+8 put b=3 v2",
	}},
	{"from key", "b", func(string) []clientv3.OpOption {
		return []clientv3.OpOption{clientv3.WithFromKey()}
	}, []string{
		"+2 put b=1 v1", "+5 put c=1 v1", "+5 put b=2 v2",
		"+6 delete b", "+6 delete c", "+7 put b=3 v1", "+8 put b=3 v2",
	}},
	{"previous values", "", func(string) []clientv3.OpOption {
		return []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithPrevKV()}
	}, []string{
		"+1 put a=1 v1", "+2 put b=1 v1", "+3 put a=2 v2 (was 1 v1)", "+4 delete a (was 2 v2)",
		"+5 put c=1 v1", "+5 put a=3 v1", "+5 put b=2 v2 (was 1 v1)",
		"+6 delete a (was 3 v1)", "+6 delete b (was 2 v2)", "+6 delete c (was 1 v1)",
		"+7 put b=3 v1", "+8 put b=3 v2 (was 3 v1)",
	}},
	{"no puts", "", func(string) []clientv3.OpOption {
		return []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithFilterPut()}
	}, []string{
		"+4 delete a", "+6 delete a", "+6 delete b", "+6 delete c",
	}},
	{"no deletes", "", func(string) []clientv3.OpOption {
		return []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithFilterDelete(), clientv3.WithPrevKV()}
	}, []string{
		"+1 put a=1 v1", "+2 put b=1 v1", "+3 put a=2 v2 (was 1 v1)",
		"+5 put c=1 v1", "+5 put a=3 v1", "+5 put b=2 v2 (was 1 v1)",
		"+7 put b=3 v1", "+8 put b=3 v2 (was 3 v1)",
	}},
	{"fragments", "", func(string) []clientv3.OpOption {
		return []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithFragment()}
	}, []string{
		"+1 put a=1 v1", "+2 put b=1 v1", "+3 put a=2 v2", "+4 delete a",
		"+5 put c=1 v1", "+5 put a=3 v1", "+5 put b=2 v2",
		"+6 delete a", "+6 delete b", "+6 delete c", "+7 put b=3 v1", "+8 put b=3 v2",
	}},
}

// Every selection gets the same events whether its watch is opened before the
// changes, after them, or between them.
func TestSelections(t *testing.T) {
	openings := []struct {
		name string
		// before is how many of the changes are made before the watch.
		before  int
		fromNow bool
	}{
		{"from now on", 0, true},
		{"from the past", len(changes("")), false},
		{"from the past to the present", 4, false},
		{"from the future", 0, false},
	}
	for _, opening := range openings {
		t.Run(opening.name, func(t *testing.T) {
			for _, selection := range selections {
				t.Run(selection.name, func(t *testing.T) {
					client, prefix := connect(t), prefix(t)
					history := changes(prefix)
					base := currentRevision(t, client)
					for _, ops := range history[:opening.before] {
						commit(t, client, ops...)
					}
					var options []clientv3.OpOption
					if selection.options != nil {
						options = selection.options(prefix)
					}
					if !opening.fromNow {
						options = append(options, clientv3.WithRev(base+1))
					}
					ctx, cancel := context.WithCancel(t.Context())
					responses := client.Watch(ctx, prefix+selection.key, options...)
					for _, ops := range history[opening.before:] {
						commit(t, client, ops...)
					}
					events := nextEvents(t, responses, len(selection.expected))
					events = append(events, rest(t, cancel, responses)...)
					expect(t, lines(base, prefix, events), selection.expected)
				})
			}
		})
	}
}

func TestFutureRevision(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	base := currentRevision(t, client)
	responses := client.Watch(t.Context(), prefix+"k", clientv3.WithRev(base+3))
	for _, value := range []string{"1", "2", "3", "4"} {
		put(t, client, prefix+"k", value)
	}
	expect(t, lines(base, prefix, nextEvents(t, responses, 2)), []string{"+3 put k=3 v3", "+4 put k=4 v4"})
}

func TestCreatedNotify(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	base := put(t, client, prefix+"k", "1")
	told := client.Watch(t.Context(), prefix+"k", clientv3.WithCreatedNotify(), clientv3.WithRev(base))
	untold := client.Watch(t.Context(), prefix+"k", clientv3.WithRev(base))
	if created := next(t, told); !created.Created || created.Header.Revision != base || len(created.Events) != 0 {
		t.Errorf("the first response is %+v", created)
	}
	for _, responses := range []clientv3.WatchChan{told, untold} {
		expect(t, lines(base, prefix, nextEvents(t, responses, 1)), []string{"+0 put k=1 v1"})
	}
}

func TestEmptyRangeIsRefused(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	responses := client.Watch(t.Context(), prefix+"b", clientv3.WithRange(prefix+"a"))
	const reason = "mvcc: watcher range is empty"
	response, open := nextIfOpen(t, responses)
	if !open || !response.Canceled || response.Err() == nil || response.Err().Error() != reason {
		t.Errorf("%v: %+v", response.Err(), response)
	}
	if _, open := nextIfOpen(t, responses); open {
		t.Error("there is something after the refusal")
	}
	// The stream remains usable.
	responses = client.Watch(t.Context(), prefix+"a")
	put(t, client, prefix+"a", "")
	nextEvent(t, responses)
}

func TestRequireLeader(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	responses := client.Watch(clientv3.WithRequireLeader(t.Context()), prefix, clientv3.WithPrefix())
	base := put(t, client, prefix+"k", "1")
	expect(t, lines(base, prefix, nextEvents(t, responses, 1)), []string{"+0 put k=1 v1"})
}

// Ten watches share a stream. One after the other is canceled; the remaining
// ones go on, and the server removes the canceled ones.
func TestCancelOneOfMany(t *testing.T) {
	const watches = 10
	var streams atomic.Int64
	client, prefix := connect(t, countWatchStreams(&streams)), prefix(t)
	waitForGauge(t, "etcd_debugging_mvcc_watcher_total", 0)
	var responses [watches]clientv3.WatchChan
	var cancels [watches]context.CancelFunc
	for i := range watches {
		var ctx context.Context
		ctx, cancels[i] = context.WithCancel(t.Context())
		responses[i] = client.Watch(ctx, prefix, clientv3.WithPrefix())
	}
	waitForGauge(t, "etcd_debugging_mvcc_watcher_total", watches)
	for canceled := range watches - 1 {
		if events := rest(t, cancels[canceled], responses[canceled]); len(events) != 0 {
			t.Errorf("watch %d has more events: %v", canceled, events)
		}
		waitForGauge(t, "etcd_debugging_mvcc_watcher_total", watches-1-canceled)
		base := put(t, client, prefix+"k", "")
		for i := canceled + 1; i < watches; i++ {
			if event := nextEvent(t, responses[i]); event.Kv.ModRevision != base {
				t.Errorf("watch %d has %v instead of revision %d", i, event, base)
			}
		}
	}
	if n := streams.Load(); n != 1 {
		t.Errorf("the client opened %d streams for one context", n)
	}
}

// Closing the client ends its watches, on the server and in the client.
func TestCloseClient(t *testing.T) {
	waitForGauge(t, "etcd_debugging_mvcc_watch_stream_total", 0)
	client, prefix := connect(t), prefix(t)
	responses := client.Watch(t.Context(), prefix, clientv3.WithPrefix())
	waitForGauge(t, "etcd_debugging_mvcc_watch_stream_total", 1)
	client.Close()
	for open := true; open; {
		_, open = nextIfOpen(t, responses)
	}
	waitForGauge(t, "etcd_debugging_mvcc_watch_stream_total", 0)
}

// etcd's mirror library: a copy of what is there, then what changes.
func TestMirror(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	put(t, client, prefix+"a", "1")
	base := put(t, client, prefix+"b", "1")
	syncer := mirror.NewSyncer(client, prefix, 0)
	responses, errs := syncer.SyncBase(t.Context())
	var keys []string
	for response := range responses {
		keys = append(keys, keysOf(response.Kvs)...)
	}
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	expect(t, keys, []string{prefix + "a", prefix + "b"})
	put(t, client, prefix+"b", "2")
	updates := syncer.SyncUpdates(t.Context())
	put(t, client, prefix+"c", "1")
	expect(t, lines(base, prefix, nextEvents(t, updates, 2)), []string{"+1 put b=2 v2", "+2 put c=1 v1"})
}

// etcd's naming library, by which gRPC clients find their servers: a table
// that follows what is registered.
func TestEndpoints(t *testing.T) {
	client := connect(t)
	service := strings.TrimSuffix(prefix(t), "/")
	manager, err := endpoints.NewManager(client, service)
	if err != nil {
		t.Fatal(err)
	}
	first, second := service+"/1", service+"/2"
	if err = manager.AddEndpoint(t.Context(), first, endpoints.Endpoint{Addr: "127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	updates, err := manager.NewWatchChannel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err = manager.AddEndpoint(t.Context(), second, endpoints.Endpoint{Addr: "127.0.0.1:2"}); err != nil {
		t.Fatal(err)
	}
	if err = manager.DeleteEndpoint(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	var found []string
	for len(found) < 3 {
		select {
		case batch := <-updates:
			for _, update := range batch {
				found = append(found, fmt.Sprintf("%d %s %s", update.Op, update.Key, update.Endpoint.Addr))
			}
		case <-time.After(patience):
			t.Fatalf("no update after %v", found)
		}
	}
	expect(t, found, []string{"0 " + first + " 127.0.0.1:1", "0 " + second + " 127.0.0.1:2", "1 " + first + " "})
}

// What Kubernetes does: list, then watch from the revision of the list. Many
// clients begin at different moments of a writer's work; all reach the same
// state.
func TestListAndWatch(t *testing.T) {
	const followers, writes = 20, 400
	client, prefix := connect(t), prefix(t)
	states := make(chan map[string]string, followers)
	follow := func() {
		list, err := client.Get(t.Context(), prefix, clientv3.WithPrefix())
		if err != nil {
			t.Error(err)
			states <- nil
			return
		}
		state := make(map[string]string)
		for _, kv := range list.Kvs {
			state[string(kv.Key)] = string(kv.Value)
		}
		ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(t.Context()))
		defer cancel()
		for response := range client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(list.Header.Revision+1), clientv3.WithPrevKV(), clientv3.WithProgressNotify()) {
			for _, event := range response.Events {
				key := string(event.Kv.Key)
				before, existed := state[key]
				if existed != (event.PrevKv != nil) || existed && before != string(event.PrevKv.Value) {
					t.Errorf("revision %d replaces %v, known is %q", event.Kv.ModRevision, event.PrevKv, before)
				}
				switch {
				case key == prefix+"end":
					states <- state
					return
				case event.Type == clientv3.EventTypePut:
					state[key] = string(event.Kv.Value)
				default:
					delete(state, key)
				}
			}
		}
		t.Error("the watch was closed")
		states <- nil
	}
	for i := range writes {
		if i%(writes/followers) == 0 {
			go follow()
		}
		key := fmt.Sprintf("%s%d", prefix, i*7%31)
		if i%3 == 2 {
			commit(t, client, clientv3.OpDelete(key))
		} else {
			put(t, client, key, strconv.Itoa(i))
		}
	}
	expected := make(map[string]string)
	list, err := client.Get(t.Context(), prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range list.Kvs {
		expected[string(kv.Key)] = string(kv.Value)
	}
	put(t, client, prefix+"end", "")
	for range followers {
		select {
		case state := <-states:
			if !maps.Equal(state, expected) {
				t.Errorf("a follower has %v instead of %v", state, expected)
			}
		case <-time.After(patience):
			t.Fatal("a follower does not come to the end")
		}
	}
}

// gauge reads a metric of the server.
func gauge(t *testing.T, name string) int {
	t.Helper()
	if endpoint == "" {
		t.Skip("INTEROP_ENDPOINT does not name a server")
	}
	response, err := http.Get(strings.TrimSuffix(endpoint, "/") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("no metric %s", name)
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(value)
}

// waitForGauge waits until the metric has the value, which changes without a
// response. Watches of the previous test may still be ending.
func waitForGauge(t *testing.T, name string, expected int) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	deadline := time.Now().Add(patience)
	for {
		value := gauge(t, name)
		if value == expected {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %d and does not become %d", name, value, expected)
		}
		<-poll.C
	}
}
