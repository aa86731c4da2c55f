package clientv3

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// writer changes a prefix, one revision after the other, also through restarts
// of the server.
type writer struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu sync.Mutex
	// confirmed has the revisions of the acknowledged changes.
	confirmed []int64
	// grown is closed and replaced with every confirmation.
	grown chan struct{}
}

func startWriter(t *testing.T, client *clientv3.Client, prefix string) *writer {
	stopped, stop := context.WithCancel(context.Background())
	w := &writer{stop: stop, grown: make(chan struct{})}
	w.done.Go(func() {
		for i := 0; stopped.Err() == nil; i++ {
			// A lost response is given up soon, except for the last
			// change: a canceled one may still take effect.
			call, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			response, err := client.Txn(call).Then(
				clientv3.OpPut(fmt.Sprintf("%s%d", prefix, i%7), fmt.Sprint(i)),
				clientv3.OpPut(prefix+"last", fmt.Sprint(i)),
			).Commit()
			cancel()
			if err == nil {
				w.confirm(response.Header.Revision)
			}
		}
	})
	t.Cleanup(w.end)
	return w
}

func (w *writer) confirm(revision int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.confirmed = append(w.confirmed, revision)
	close(w.grown)
	w.grown = make(chan struct{})
}

// await waits for n more confirmations.
func (w *writer) await(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(patience)
	for range n {
		w.mu.Lock()
		grown := w.grown
		w.mu.Unlock()
		select {
		case <-grown:
		case <-deadline:
			t.Fatal("the writer does not get on")
		}
	}
}

func (w *writer) end() {
	w.stop()
	w.done.Wait()
}

// Watches go on over restarts of the server under a running writer. They
// deliver every revision once, whole, and in order, including all acknowledged
// ones.
func TestRestartUnderWrites(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	// There is no other writer, so revisions without an event would be gaps.
	base := put(t, client, "beside", "")
	all := map[string]clientv3.WatchChan{
		"from now on":     client.Watch(t.Context(), prefix, clientv3.WithPrefix()),
		"from a revision": client.Watch(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithRev(base+1)),
		"with everything": client.Watch(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithProgressNotify(), clientv3.WithFragment(), clientv3.WithCreatedNotify()),
	}
	idle := client.Watch(t.Context(), prefix+"idle")

	writer := startWriter(t, connect(t), prefix)
	for _, how := range []string{"kill9", "kill9", "stop", "kill9"} {
		writer.await(t, 20)
		restart(t, how, client)
	}
	writer.await(t, 20)
	writer.end()
	end := put(t, client, prefix+"idle", "1")

	stored := storedSince(t, client, prefix, base+1, end)
	checkHistory(t, "stored", stored, base+1, end)
	for name, responses := range all {
		checkHistory(t, name, until(t, responses, end), base+1, end)
	}
	for _, revision := range writer.confirmed {
		if !slices.ContainsFunc(stored, func(event *clientv3.Event) bool { return event.Kv.ModRevision == revision }) {
			t.Errorf("revision %d was confirmed and is lost", revision)
		}
	}
	expect(t, lines(end, prefix, nextEvents(t, idle, 1)), []string{"+0 put idle=1 v1"})
	t.Logf("%d revisions, %d confirmed", end-base, len(writer.confirmed))
}

// until takes responses up to the one that brings the last revision.
func until(t *testing.T, responses clientv3.WatchChan, last int64) []*clientv3.Event {
	t.Helper()
	var events []*clientv3.Event
	for len(events) == 0 || events[len(events)-1].Kv.ModRevision < last {
		events = append(events, next(t, responses).Events...)
	}
	return events
}

// storedSince is the history as a new watch delivers it.
func storedSince(t *testing.T, client *clientv3.Client, prefix string, first, last int64) []*clientv3.Event {
	t.Helper()
	return until(t, client.Watch(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithRev(first)), last)
}

// checkHistory wants the two events of the writer's every transaction, then
// the one that was put at the end.
func checkHistory(t *testing.T, name string, events []*clientv3.Event, first, last int64) {
	t.Helper()
	if expected := int(last-first)*2 + 1; len(events) != expected {
		t.Errorf("%s: %d events of %d", name, len(events), expected)
		return
	}
	for i, event := range events {
		if event.Kv.ModRevision != first+int64(i/2) {
			t.Errorf("%s: event %d is of revision +%d", name, i, event.Kv.ModRevision-first)
			return
		}
		if i%2 == 1 && string(events[i-1].Kv.Value) != string(event.Kv.Value) {
			t.Errorf("%s: revision +%d is of two transactions", name, event.Kv.ModRevision-first)
		}
	}
}

// A thousand watches resume.
func TestRestartWithManyWatches(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all := watchMany(t, ctx, client, prefix)
	for _, how := range []string{"stop", "kill9"} {
		base := currentRevision(t, client)
		restart(t, how, client)
		for i := 0; i < manyWatches; i += 10 {
			put(t, client, manyKey(prefix, i), how)
		}
		for i := 0; i < manyWatches; i += 10 {
			event := nextEvent(t, all[i])
			if event.Kv.ModRevision != base+1+int64(i/10) || string(event.Kv.Value) != how {
				t.Errorf("watch %d after %s: %v", i, how, event)
			}
		}
	}
}
