// Package e2e names what is built to run etcd's own end-to-end suites on
// another program: the suites, etcdctl and etcdutl of the same release. See
// the script `run`.
package e2e

import (
	_ "go.etcd.io/etcd/tests/v3/common"
	_ "go.etcd.io/etcd/tests/v3/e2e"
)
