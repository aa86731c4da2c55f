package clientv3

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	manyWatches = 1000
	// putsPerTxn is within --max-txn-ops.
	putsPerTxn = 100
	// Fourteen values of this size are one transaction within
	// --max-request-bytes; with the previous ones they are more than one
	// fragment.
	largeValue, largeValues = 100 << 10, 14
	// fragmentLimit is more than any fragment and less than the whole.
	fragmentLimit = 2<<20 + 64<<10
)

// A client that accepts no large messages gets a large revision in fragments
// and joins them. Other watches of the stream have events of the same revision,
// which must not come between the fragments: the client would lose them.
func TestFragments(t *testing.T) {
	client := connect(t, func(config *clientv3.Config) {
		config.MaxCallRecvMsgSize = fragmentLimit
	})
	prefix := prefix(t)
	put(t, client, prefix+"00", "")
	options := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithFragment()}
	var all []clientv3.WatchChan
	for range 3 {
		all = append(all,
			client.Watch(t.Context(), prefix, options...),
			client.Watch(t.Context(), prefix+"00"))
	}
	writeLarge(t, client, prefix, "a")
	base := writeLarge(t, client, prefix, "b")
	past := client.Watch(t.Context(), prefix, append(options, clientv3.WithRev(base))...)
	for i, responses := range all {
		if i%2 == 0 {
			checkLarge(t, responses, base-1)
			checkLarge(t, responses, base)
		} else {
			nextEvents(t, responses, 2)
		}
	}
	checkLarge(t, past, base)
}

// Without fragments a revision is one message, whatever its size.
func TestLargeRevision(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	responses := client.Watch(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithPrevKV())
	writeLarge(t, client, prefix, "a")
	base := writeLarge(t, client, prefix, "b")
	checkLarge(t, responses, base-1)
	checkLarge(t, responses, base)
	checkLarge(t, client.Watch(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithRev(base)), base)
}

func writeLarge(t *testing.T, client *clientv3.Client, prefix, letter string) int64 {
	t.Helper()
	var ops []clientv3.Op
	for i := range largeValues {
		ops = append(ops, clientv3.OpPut(fmt.Sprintf("%s%02d", prefix, i), strings.Repeat(letter, largeValue)))
	}
	return commit(t, client, ops...)
}

// checkLarge takes a response that must be the whole of a revision that
// writeLarge made.
func checkLarge(t *testing.T, responses clientv3.WatchChan, revision int64) {
	t.Helper()
	response := next(t, responses)
	if len(response.Events) != largeValues {
		t.Fatalf("%d events of %d in one response", len(response.Events), largeValues)
	}
	for i, event := range response.Events {
		if event.Kv.ModRevision != revision || !strings.HasSuffix(string(event.Kv.Key), fmt.Sprintf("%02d", i)) || len(event.Kv.Value) != largeValue {
			t.Fatalf("event %d is of %s in revision %d with %d bytes", i, event.Kv.Key, event.Kv.ModRevision, len(event.Kv.Value))
		}
	}
}

// A thousand watches of one client are one stream. Each has a key of its own,
// and half of them see everything, too.
func TestManyWatches(t *testing.T) {
	var streams atomic.Int64
	client, prefix := connect(t, countWatchStreams(&streams)), prefix(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	own := watchMany(t, ctx, client, prefix)
	base := currentRevision(t, client)
	for i := 0; i < manyWatches; i += putsPerTxn {
		var ops []clientv3.Op
		for j := i; j < i+putsPerTxn; j++ {
			ops = append(ops, clientv3.OpPut(manyKey(prefix, j), "1"))
		}
		commit(t, client, ops...)
	}
	for i, responses := range own {
		expected := fmt.Sprintf("+%d put %04d=1 v1", i/putsPerTxn+1, i)
		expect(t, lines(base, prefix, []*clientv3.Event{nextEvent(t, responses)}), []string{expected})
	}
	if n := streams.Load(); n != 1 {
		t.Errorf("the client opened %d streams for one context", n)
	}
}

// A thousand watches of the same keys.
func TestManyWatchesOfOneRange(t *testing.T) {
	const puts = 20
	client, prefix := connect(t), prefix(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all []clientv3.WatchChan
	for range manyWatches {
		all = append(all, client.Watch(ctx, prefix, clientv3.WithPrefix()))
	}
	base := currentRevision(t, client)
	var expected []string
	for i := range puts {
		put(t, client, prefix+"k", "1")
		expected = append(expected, fmt.Sprintf("+%d put k=1 v%d", i+1, i+1))
	}
	for _, responses := range all {
		expect(t, lines(base, prefix, nextEvents(t, responses, puts)), expected)
	}
}

func watchMany(t *testing.T, ctx context.Context, client *clientv3.Client, prefix string) []clientv3.WatchChan {
	t.Helper()
	var all []clientv3.WatchChan
	for i := range manyWatches {
		all = append(all, client.Watch(ctx, manyKey(prefix, i)))
	}
	return all
}

func manyKey(prefix string, i int) string {
	return fmt.Sprintf("%s%04d", prefix, i)
}

// A long history, from its beginning and by many at once, while it grows.
func TestLongHistory(t *testing.T) {
	const revisions, watches = 1600, 8
	client, prefix := connect(t), prefix(t)
	base := currentRevision(t, client)
	value := strings.Repeat("x", 1000)
	var all []clientv3.WatchChan
	for i := range revisions {
		put(t, client, prefix+"k", value)
		if i%(revisions/watches) == 0 {
			all = append(all, client.Watch(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithRev(base+1)))
		}
	}
	for _, responses := range all {
		for i, event := range nextEvents(t, responses, revisions) {
			if event.Kv.ModRevision != base+1+int64(i) || event.Kv.Version != int64(i)+1 {
				t.Fatalf("event %d is revision +%d, version %d", i, event.Kv.ModRevision-base, event.Kv.Version)
			}
		}
	}
}
