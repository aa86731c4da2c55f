package clientv3

import (
	"errors"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestCompactedStart(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	for range 4 {
		put(t, client, prefix+"k", "1")
	}
	last := put(t, client, prefix+"k", "1")
	compacted := last - 2
	before := client.Watch(t.Context(), prefix+"k", clientv3.WithRev(last-3), clientv3.WithPrevKV())
	nextEvents(t, before, 4)
	if _, err := client.Compact(t.Context(), compacted, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}

	refused := client.Watch(t.Context(), prefix+"k", clientv3.WithRev(compacted-1))
	response, open := nextIfOpen(t, refused)
	if !open {
		t.Fatal("closed without a reason")
	}
	if !errors.Is(response.Err(), rpctypes.ErrCompacted) || !response.Canceled || response.CompactRevision != compacted {
		t.Errorf("%v: %+v", response.Err(), response)
	}
	if text := response.Err().Error(); text != "etcdserver: mvcc: required revision has been compacted" {
		t.Errorf("error text %q", text)
	}
	if _, open := nextIfOpen(t, refused); open {
		t.Error("there is something after the error")
	}

	// The first revision that is left can be watched; previous values from
	// before it are gone.
	served := client.Watch(t.Context(), prefix+"k", clientv3.WithRev(compacted), clientv3.WithPrevKV())
	expect(t, lines(compacted, prefix, nextEvents(t, served, 3)), []string{
		"+0 put k=1 v3",
		"+1 put k=1 v4 (was 1 v3)",
		"+2 put k=1 v5 (was 1 v4)",
	})

	// A watch that is up to date is not affected.
	put(t, client, prefix+"k", "2")
	for _, responses := range []clientv3.WatchChan{before, served} {
		expect(t, lines(last, prefix, nextEvents(t, responses, 1)), []string{"+1 put k=2 v6 (was 1 v5)"})
	}
}
