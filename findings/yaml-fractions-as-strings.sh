#!/usr/bin/env bash
# Software: sigs.k8s.io/yaml v1.6.0 (Go), the version in go.mod of etcd 3.7.1.
#
# Expected: a YAML number for a Go string field becomes a string with the number's digits, as integers do. Perhaps `1.10`
# loses its last zero.
#
# Seen: a number with a fraction is rounded to 32 bits on its way into the string, about seven digits, without an error:
# 20261129.5 becomes "2.026113e+07", and 16777217.0 becomes "1.6777216e+07", another number. The same text in a float64
# field keeps all digits.
#
# Matters: a version, tag or build number without quotes arrives changed, and no log tells. An implementer that converts
# with 64 bits disagrees with Go programs about the same file.
#
# Guess: 20261129.5 becomes "2.026113e+07", 1.10 becomes "1.1", integers keep their digits.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cannot() { echo "not tried: $1"; exit 2; }

command -v go >log 2>&1 || cannot "needs Go"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"strconv"

	"sigs.k8s.io/yaml"
)

func main() {
	for _, number := range []string{"20261129", "1.10", "20261129.5", "16777217.0"} {
		var asString struct {
			Tag string `json:"tag"`
		}
		var asFloat struct {
			Tag float64 `json:"tag"`
		}
		text := []byte("tag: " + number)
		if err := yaml.Unmarshal(text, &asString); err != nil {
			panic(err)
		}
		if err := yaml.Unmarshal(text, &asFloat); err != nil {
			panic(err)
		}
		fmt.Printf("%-12s string %-16s float64 %s\n", number, asString.Tag, strconv.FormatFloat(asFloat.Tag, 'f', -1, 64))
	}
}
GO
{ go mod init finding && go get sigs.k8s.io/yaml@v1.6.0 && go build -o probe .; } >log 2>&1 || { cat log; cannot "no build"; }
./probe | tee seen
outcomes=$(awk '{ print $3 "=" $5 }' seen | xargs)
expected="20261129=20261129 1.1=1.1 2.026113e+07=20261129.5 1.6777216e+07=16777217"
test "$outcomes" = "$expected" || { echo "changed: $outcomes"; exit 1; }
