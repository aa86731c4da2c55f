#!/usr/bin/env bash
# Software: google.golang.org/protobuf 1.36.11 (Go), package encoding/protojson, with the option DiscardUnknown.
#
# Expected: the option is about fields that a message does not have. A name that an enum does not have is a wrong value of a
# known field, and an error with the option as without it.
#
# Seen: with the option the name is dropped without a word, and the field is zero, which is the first name of the enum. A
# number that the enum does not have is kept.
#
# Matters: gateways read requests with this option, so that clients of a newer schema are understood. A name that is spelled
# wrong then asks for another operation than the one that was meant.
#
# Guess: an error for the name, with the option as without it.
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

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/typepb"
)

func main() {
	for _, text := range []string{`{"kind":"TYPE_BOOL"}`, `{"kind":"TYPE_BOOLEAN"}`, `{"kind":4711}`} {
		for _, discard := range []bool{false, true} {
			var field typepb.Field
			options := protojson.UnmarshalOptions{DiscardUnknown: discard}
			outcome := "error"
			if err := options.Unmarshal([]byte(text), &field); err == nil {
				outcome = fmt.Sprint(int32(field.Kind))
			}
			fmt.Println(text, "discard:", discard, "kind:", outcome)
		}
	}
}
GO
{ go mod init finding && go get google.golang.org/protobuf@v1.36.11; } >log 2>&1 || { cat log; cannot "no module"; }
go run . | tee seen
outcomes=$(awk '{ print $NF }' seen | paste -sd,)
test "$outcomes" = "8,8,error,0,4711,4711" || { echo "changed: $outcomes"; exit 1; }
