// Command etcd37 is upstream etcd 3.7.1, unchanged: the reference that the
// end-to-end suites compare ferretcd with. It holds no logic of its own.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
