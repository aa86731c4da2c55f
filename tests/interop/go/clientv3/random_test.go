package clientv3

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	randomKeys = 8
	// randomEnd is how many revisions are written at the end, with watches
	// that are still to begin among them.
	randomEnd = 200
)

// change is one event of the history, with the value that it replaced.
type change struct {
	revision           int64
	put                bool
	key, value, before string
}

// randomWatch is a watch with the selection that it was opened with.
type randomWatch struct {
	key, end        string
	start           int64
	noPut, noDelete bool
	prevKV          bool
	responses       clientv3.WatchChan
}

// Watches of random selections and starts, opened between restarts while
// several clients write, get exactly the events that the history demands, with
// the replaced values.
func TestRestartWithRandomWatches(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	prefix := prefix(t)
	clients := []*clientv3.Client{connect(t), connect(t), connect(t)}
	base := put(t, clients[0], "beside", "")

	var watches []*randomWatch
	open := func(start int64) {
		client := clients[random.IntN(len(clients))]
		watches = append(watches, openRandom(t, client, random, prefix, start))
	}
	for range 20 {
		open(base + 1)
	}
	stop := startRandomWriters(t, seed, prefix)
	for _, how := range []string{"kill9", "stop", "kill9", "kill9"} {
		revision := currentRevision(t, clients[0])
		waitForRevision(t, clients[0], revision+50)
		restart(t, how, clients...)
		for range 3 {
			open(base + 1)
			open(revision + random.Int64N(100))
		}
	}
	stop()
	for i := range int64(randomEnd) {
		put(t, clients[0], randomKey(prefix, int(i)), "end")
		put(t, clients[0], prefix+"last", "")
	}

	history := historySince(t, clients[0], prefix, base+1, currentRevision(t, clients[0]))
	for i, watch := range watches {
		watch.check(t, fmt.Sprintf("watch %d", i), history)
	}
}

func randomKey(prefix string, i int) string {
	return fmt.Sprintf("%s%d", prefix, i%randomKeys)
}

func openRandom(t *testing.T, client *clientv3.Client, random *rand.Rand, prefix string, start int64) *randomWatch {
	watch := &randomWatch{key: randomKey(prefix, random.IntN(randomKeys)), start: start}
	options := []clientv3.OpOption{clientv3.WithRev(start)}
	switch random.IntN(3) {
	case 0:
		watch.end = randomKey(prefix, randomKeys-1) + "0"
	case 1:
		watch.key, watch.end = prefix, clientv3.GetPrefixRangeEnd(prefix)
	}
	if watch.end != "" {
		options = append(options, clientv3.WithRange(watch.end))
	}
	switch random.IntN(4) {
	case 0:
		watch.noPut = true
		options = append(options, clientv3.WithFilterPut())
	case 1:
		watch.noDelete = true
		options = append(options, clientv3.WithFilterDelete())
	}
	if random.IntN(2) == 0 {
		watch.prevKV = true
		options = append(options, clientv3.WithPrevKV())
	}
	if random.IntN(2) == 0 {
		options = append(options, clientv3.WithProgressNotify())
	}
	if random.IntN(2) == 0 {
		options = append(options, clientv3.WithFragment())
	}
	watch.responses = client.Watch(t.Context(), watch.key, options...)
	return watch
}

// startRandomWriters lets four clients write until the returned function is
// called.
func startRandomWriters(t *testing.T, seed uint64, prefix string) func() {
	stopped, stop := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	for i := range uint64(4) {
		client := connect(t)
		random := rand.New(rand.NewPCG(seed, i+1))
		writers.Go(func() {
			for stopped.Err() == nil {
				// The history shows whether it took effect.
				call, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				client.Txn(call).Then(randomOps(random, prefix)...).Commit()
				cancel()
			}
		})
	}
	end := func() {
		stop()
		writers.Wait()
	}
	t.Cleanup(end)
	return end
}

func randomOps(random *rand.Rand, prefix string) []clientv3.Op {
	key := randomKey(prefix, random.IntN(randomKeys))
	switch random.IntN(5) {
	case 0:
		return []clientv3.Op{clientv3.OpDelete(key)}
	case 1:
		return []clientv3.Op{clientv3.OpDelete(prefix, clientv3.WithPrefix())}
	case 2:
		var ops []clientv3.Op
		for _, i := range random.Perm(randomKeys) {
			ops = append(ops, clientv3.OpPut(randomKey(prefix, i), strings.Repeat("x", random.IntN(1000))))
		}
		return ops
	default:
		return []clientv3.Op{clientv3.OpPut(key, fmt.Sprint(random.Uint32()))}
	}
}

func waitForRevision(t *testing.T, client *clientv3.Client, revision int64) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for currentRevision(t, client) < revision {
		if time.Now().After(deadline) {
			t.Fatalf("revision %d is not reached", revision)
		}
	}
}

// historySince returns the events of a new watch on the prefix, checked for
// gaps, with the replaced values computed from the events before.
func historySince(t *testing.T, client *clientv3.Client, prefix string, first, last int64) []change {
	t.Helper()
	values := make(map[string]string)
	var history []change
	known := first - 1
	for _, event := range until(t, client.Watch(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithRev(first)), last) {
		// Either the revision goes on or the next one begins.
		if event.Kv.ModRevision != known && event.Kv.ModRevision != known+1 {
			t.Fatalf("revision %d follows %d", event.Kv.ModRevision, known)
		}
		known = event.Kv.ModRevision
		key := string(event.Kv.Key)
		found := asChange(event)
		found.before = "nothing"
		if value, isThere := values[key]; isThere {
			found.before = value
		}
		history = append(history, found)
		if found.put {
			values[key] = found.value
		} else {
			delete(values, key)
		}
	}
	return history
}

func asChange(event *clientv3.Event) change {
	found := change{
		revision: event.Kv.ModRevision,
		put:      event.Type == clientv3.EventTypePut,
		key:      string(event.Kv.Key),
		value:    string(event.Kv.Value),
		before:   "nothing",
	}
	if event.PrevKv != nil {
		found.before = string(event.PrevKv.Value)
	}
	return found
}

// selects reports whether the watch has to deliver the change.
func (w *randomWatch) selects(c change) bool {
	inRange := c.key == w.key || w.end != "" && c.key > w.key && c.key < w.end
	return inRange && c.revision >= w.start && !(c.put && w.noPut) && !(!c.put && w.noDelete)
}

func (w *randomWatch) check(t *testing.T, name string, history []change) {
	t.Helper()
	var expected []change
	for _, c := range history {
		if w.selects(c) {
			if !w.prevKV {
				c.before = "nothing"
			}
			expected = append(expected, c)
		}
	}
	if len(expected) == 0 {
		return
	}
	for i, event := range nextEvents(t, w.responses, len(expected)) {
		if found := asChange(event); i >= len(expected) || found != expected[i] {
			t.Errorf("%s from %d on: event %d is %+v", name, w.start, i, found)
			return
		}
	}
}
