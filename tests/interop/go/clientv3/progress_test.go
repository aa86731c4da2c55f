package clientv3

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// progressesUnderWrites is the number of progress requests during writes.
const progressesUnderWrites = 50

// An idle server sends progress to a watch that has requested it, and to no
// other.
func TestProgressNotify(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	told := client.Watch(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithProgressNotify())
	untold := client.Watch(t.Context(), prefix, clientv3.WithPrefix())
	base := put(t, client, "beside", "")
	for {
		progress := next(t, told)
		if !progress.IsProgressNotify() {
			t.Fatalf("an idle watch was told %+v", progress)
		}
		// The first may have been sent before the put.
		if progress.Header.Revision == base {
			break
		}
	}
	last := put(t, client, prefix+"k", "1")
	if first := next(t, untold); len(first.Events) != 1 {
		t.Errorf("a watch that did not ask was told %+v", first)
	}
	for {
		response := next(t, told)
		if !response.IsProgressNotify() {
			expect(t, lines(last, prefix, response.Events), []string{"+0 put k=1 v1"})
			return
		}
	}
}

// Requested progress comes to all watches of the client, with the revision up
// to which they have all events.
func TestRequestProgress(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	all := []clientv3.WatchChan{
		client.Watch(t.Context(), prefix, clientv3.WithPrefix()),
		client.Watch(t.Context(), prefix+"never written"),
	}
	base := put(t, client, "beside", "")
	if err := client.RequestProgress(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, responses := range all {
		if progress := next(t, responses); !progress.IsProgressNotify() || progress.Header.Revision < base {
			t.Errorf("revision %d, and progress is %+v", base, progress)
		}
	}
}

// The promise of progress, under writes: no event of its revision or before it
// comes later.
func TestProgressIsNeverAhead(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	responses := client.Watch(t.Context(), prefix, clientv3.WithPrefix())
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
				if _, err := client.Put(t.Context(), prefix+"k", ""); err != nil {
					stopped <- err
					return
				}
			}
		}
	}()
	known := int64(0)
	for range progressesUnderWrites {
		if err := client.RequestProgress(t.Context()); err != nil {
			t.Fatal(err)
		}
		for {
			response := next(t, responses)
			for _, event := range response.Events {
				if event.Kv.ModRevision <= known {
					t.Fatalf("revision %d comes when %d is known", event.Kv.ModRevision, known)
				}
				known = event.Kv.ModRevision
			}
			if response.IsProgressNotify() {
				if response.Header.Revision < known {
					t.Fatalf("progress %d when %d is known", response.Header.Revision, known)
				}
				known = response.Header.Revision
				break
			}
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}
