#!/usr/bin/env bash
# Software: sigs.k8s.io/yaml v1.6.0 (Go), the version in go.mod of etcd 3.7.1.
#
# Expected: the library turns a YAML number into a string where the Go field is a string. Go promotes the fields of an
# embedded struct, and encoding/json treats them as fields of the outer struct, so embedding should change nothing.
#
# Seen: a field that is reached through an embedded struct is judged by the embedded struct, not by itself.
# - `name: 5` is taken for a direct string field and is an error for a promoted one, at whatever place the embedded
#   struct stands.
# - In a section behind an embedded struct, keys are looked up one level too high. A number there becomes a string if the
#   embedded struct has a string field of the same key, so that a number for an int field is an error.
#
# Matters: moving fields of a configuration into an embedded struct is no pure refactoring: files that loaded stop
# loading. etcd's configuration is such a struct: `name: 5` is an error there. An implementer that reads the same files
# must reproduce this or list it as a difference.
#
# Guess (before reading the source): `name: 5` is an error only if the embedded struct is not the first field; the section behaves as without
# embedding.
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

	"sigs.k8s.io/yaml"
)

type direct struct {
	Name string `json:"name"`
}

// Named is exported, as a struct to embed must be for its fields to be decoded.
type Named struct {
	Name string `json:"name"`
}

type embedsFirst struct {
	Named
	Size int `json:"size"`
}

type embedsLast struct {
	Size int `json:"size"`
	Named
}

// Ports has the key port twice: as a string, and as an int of a section.
type Ports struct {
	Port    string `json:"port"`
	Section struct {
		Port int `json:"port"`
	} `json:"section"`
}

type embedsPorts struct {
	Ports
}

func try(what, text string, into any) {
	outcome := "taken"
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		outcome = "error: " + err.Error()
	}
	fmt.Printf("%-24s %-22s %s\n", what, text, outcome)
}

func main() {
	try("direct", "name: 5", &direct{})
	try("embedded, first field", "name: 5", &embedsFirst{})
	try("embedded, last field", "name: 5", &embedsLast{})
	try("section", "section: {port: 80}", &Ports{})
	try("section, embedded", "section: {port: 80}", &embedsPorts{})
}
GO
{ go mod init finding && go get sigs.k8s.io/yaml@v1.6.0 && go build -o probe .; } >log 2>&1 || { cat log; cannot "no build"; }
./probe | tee seen
outcomes=$(awk '{ print /error: .*cannot unmarshal/ ? "error" : /taken$/ ? "taken" : "other" }' seen | xargs)
test "$outcomes" = "taken error error taken error" || { echo "changed: $outcomes"; exit 1; }
