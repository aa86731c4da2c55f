#!/usr/bin/env bash
# Software: data-encoding 2.11.0 (crates.io), its constant BASE64.
#
# Expected: padding ends a text in base64. What has another text behind it, or padding in its middle, is malformed, as it is
# to the crate base64 0.22.1.
#
# Seen: BASE64 takes any number of padded texts one behind the other, and returns their bytes as one.
#
# Matters: a server that checks with it what clients of another library have to make accepts what those reject, and two
# programs disagree about what a field holds.
#
# Guess: an error at the fourth byte.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cannot() { echo "not tried: $1"; exit 2; }

command -v cargo >log 2>&1 || cannot "needs Rust"
mkdir -p src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
base64 = "=0.22.1"
data-encoding = "=2.11.0"
TOML
cat >src/main.rs <<'RUST'
use base64::Engine;
fn main() {
    for text in ["YQ==", "YQ==Yg==", "YQ==YmM="] {
        let joined = data_encoding::BASE64.decode(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
        let strict = base64::engine::general_purpose::STANDARD.decode(text);
        println!("{text} data-encoding: {} base64: {}", joined.as_deref().unwrap_or("error"), if strict.is_ok() { "accepted" } else { "error" });
    }
}
RUST
cargo run -q 2>log | tee seen || { cat log; cannot "no crate"; }
outcomes=$(awk '{ print $3, $5 }' seen | paste -sd,)
test "$outcomes" = "a accepted,ab error,abc error" || { echo "changed: $outcomes"; exit 1; }
