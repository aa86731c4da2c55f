// Command record prints what etcd 3.7.1 logs about its configuration when it starts, one JSON object a line for each
// command line: the arguments, and the record.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log"
	"os"
	"os/exec"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

// The ports have to be free, here but not where the records are used.
var common = []string{
	"--listen-client-urls=http://127.0.0.1:23791", "--advertise-client-urls=http://127.0.0.1:23791",
	"--listen-peer-urls=http://127.0.0.1:23801", "--initial-advertise-peer-urls=http://127.0.0.1:23801",
}

var founder = []string{"--initial-cluster=default=http://127.0.0.1:23801"}

var commandLines = [][]string{
	founder,
	{"--name=a", "--initial-cluster=b=http://10.0.0.2:2380,a=http://127.0.0.1:23801", "--initial-cluster-token=t", "--initial-cluster-state=existing",
		"--data-dir=d", "--wal-dir=w", "--listen-metrics-urls=http://127.0.0.1:23811", "--max-wals=0", "--max-snapshots=9", "--snapshot-count=7",
		"--snapshot-catchup-entries=8", "--initial-election-tick-advance=false", "--pre-vote=false", "--max-request-bytes=9999", "--max-concurrent-streams=64"},
	append([]string{"--feature-gates=PriorityRequest=T,FastLeaseKeepAlive=false", "--feature-gates=CompactHashCheck=1", "--corrupt-check-time=5m", "--compact-hash-check-time=90s",
		"--heartbeat-interval=70", "--election-timeout=1050", "--max-learners=3", "--force-new-cluster", "--quota-backend-bytes=-1", "--downgrade-check-time=0",
		"--v2-deprecation=gone", "--cors=http://b:1,http://a:1", "--host-whitelist=b,a,a"}, founder...),
	append([]string{"--auto-compaction-retention=1.5h", "--quota-backend-bytes=5", "--feature-gates=SetMemberLocalAddr=true"}, founder...),
	append([]string{"--auto-compaction-mode=revision", "--auto-compaction-retention=1000", "--discovery-srv-name=x", "--discovery-user=u"}, founder...),
	{"--discovery-endpoints=b:1,a:1", "--discovery-token=t", "--discovery-dial-timeout=3s", "--discovery-request-timeout=100ms", "--discovery-keepalive-time=1m",
		"--discovery-keepalive-timeout=1h1s", "--discovery-insecure-transport=false", "--discovery-insecure-skip-tls-verify", "--discovery-cert=c", "--discovery-key=k",
		"--discovery-cacert=ca", "--discovery-user=u", "--discovery-password=p"},
}

type line struct {
	Args   []string        `json:"args"`
	Record json.RawMessage `json:"record"`
}

func main() {
	if len(os.Args) > 1 {
		etcdmain.Main(os.Args)
		return
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	for _, args := range commandLines {
		args = append(append([]string{}, common...), args...)
		if err := encoder.Encode(line{args, record(args)}); err != nil {
			log.Fatal(err)
		}
	}
}

// record starts etcd in an empty directory and ends it when it has logged its configuration.
func record(args []string) json.RawMessage {
	dir, err := os.MkdirTemp("", "record")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	command := exec.Command(program(), args...)
	command.Dir = dir
	stderr, err := command.StderrPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := command.Start(); err != nil {
		log.Fatal(err)
	}
	defer command.Wait()
	defer command.Process.Kill()
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if bytes.Contains(lines.Bytes(), []byte(`"msg":"starting an etcd server"`)) {
			return append(json.RawMessage{}, lines.Bytes()...)
		}
	}
	log.Fatalf("etcd logged no record for %q", args)
	return nil
}

// program returns the path of this program.
func program() string {
	path, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	return path
}
