// Package clientv3 runs etcd's own Go client against the server that
// INTEROP_ENDPOINT names. The expectations are those of etcd 3.7.1. Either
// server has to be started with --watch-progress-notify-interval=200ms.
//
// It is usually run by the suites in tests/tests/interop.rs, which start the
// server, and restart it when a test asks for that (see restart). By hand:
//
//	INTEROP_ENDPOINT=http://127.0.0.1:2379 go test -v ./...
//
// where tests that need a restart are skipped. The tests need a server of
// their own and run one after another, each under a prefix of its own.
package clientv3
