package clientv3

import (
	"errors"
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/namespace"
)

func TestPutGetDelete(t *testing.T) {
	client, key := connect(t), prefix(t)+"key"
	first := put(t, client, key, "one")
	second, err := client.Put(t.Context(), key, "two", clientv3.WithPrevKV())
	if err != nil || string(second.PrevKv.Value) != "one" || second.Header.Revision != first+1 {
		t.Fatalf("second put: %v, %v", second, err)
	}
	now, err := client.Get(t.Context(), key)
	if err != nil || len(now.Kvs) != 1 || string(now.Kvs[0].Value) != "two" || now.Kvs[0].Version != 2 {
		t.Fatalf("get: %v, %v", now, err)
	}
	then, err := client.Get(t.Context(), key, clientv3.WithRev(first), clientv3.WithSerializable())
	if err != nil || len(then.Kvs) != 1 || string(then.Kvs[0].Value) != "one" {
		t.Fatalf("get at revision %d: %v, %v", first, then, err)
	}
	gone, err := client.Delete(t.Context(), key, clientv3.WithPrevKV())
	if err != nil || gone.Deleted != 1 || string(gone.PrevKvs[0].Value) != "two" {
		t.Fatalf("delete: %v, %v", gone, err)
	}
	_, err = client.Get(t.Context(), key, clientv3.WithRev(gone.Header.Revision+100))
	if !errors.Is(err, rpctypes.ErrFutureRev) {
		t.Fatalf("get in the future: %v", err)
	}
}

func TestRangeOptions(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	for _, name := range []string{"c", "a", "b"} {
		put(t, client, prefix+name, "")
	}
	check := func(expected []string, options ...clientv3.OpOption) {
		t.Helper()
		response, err := client.Get(t.Context(), prefix, append(options, clientv3.WithPrefix())...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range expected {
			expected[i] = prefix + expected[i]
		}
		if keys := keysOf(response.Kvs); !slices.Equal(keys, expected) {
			t.Errorf("found %v, expected %v", keys, expected)
		}
	}
	check([]string{"a", "b", "c"})
	check([]string{"a", "b"}, clientv3.WithLimit(2), clientv3.WithKeysOnly())
	check([]string{"c", "b", "a"}, clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	check([]string{"c", "a", "b"}, clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortAscend))
	check(nil, clientv3.WithCountOnly())
}

func TestTxn(t *testing.T) {
	client, key := connect(t), prefix(t)+"key"
	create := func() *clientv3.TxnResponse {
		response, err := client.Txn(t.Context()).
			If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(clientv3.OpPut(key, "created")).
			Else(clientv3.OpGet(key)).
			Commit()
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	if first := create(); !first.Succeeded {
		t.Errorf("a key that isn't there was found: %v", first)
	}
	second := create()
	if second.Succeeded || string(second.Responses[0].GetResponseRange().Kvs[0].Value) != "created" {
		t.Errorf("a key that is there was not found: %v", second)
	}
	_, err := client.Txn(t.Context()).Then(clientv3.OpPut(key, "1"), clientv3.OpPut(key, "2")).Commit()
	if !errors.Is(err, rpctypes.ErrDuplicateKey) {
		t.Errorf("two puts of a key in one transaction: %v", err)
	}
}

func TestNamespace(t *testing.T) {
	client, prefix := connect(t), prefix(t)
	kv, watcher := namespace.NewKV(client, prefix), namespace.NewWatcher(client, prefix)
	defer watcher.Close()
	events := watcher.Watch(t.Context(), "", clientv3.WithPrefix(), clientv3.WithPrevKV())
	response, err := kv.Put(t.Context(), "a", "1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = kv.Delete(t.Context(), "", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	expect(t, lines(response.Header.Revision, "", nextEvents(t, events, 2)), []string{
		"+0 put a=1 v1",
		"+1 delete a (was 1 v1)",
	})
}
