#!/usr/bin/env bash
# Software: asn1 0.24.1 (crates.io), a parser of DER.
#
# Expected: an object identifier is a list of numbers without a bound on its length in X.660, and up to 128 numbers in
# SNMP's rules (RFC 2578, section 3.5). A parser that takes numbers up to 2^128 - 1, far beyond what is in use, takes long
# lists too.
#
# Seen: the content may have 63 bytes at most, because the type is a fixed buffer. Three numbers of the largest size fit,
# four do not; of numbers that need one byte each, 64 fit (the first two share a byte) and 65 do not. The documentation of
# the type says that the buffer is fixed; the error comes from parsing, so it is one of the whole value around the identifier.
#
# Matters: valid DER, such as a certificate with a long private extension, is rejected although nothing needs the
# identifier. Tests with one enormous number do not find the limit. An implementer that has to accept such values reads the
# identifier as raw bytes (asn1::Tlv).
#
# Guess: 63 bytes parse and 64 are OidTooLong, for both kinds of content; Tlv takes all of them.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cannot() { echo "not tried: $1"; exit 2; }

command -v cargo >log 2>&1 || cannot "needs cargo"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"

[dependencies]
asn1 = { version = "=0.24.1", default-features = false, features = ["std"] }
TOML
cat >src/main.rs <<'RUST'
//! The identifier 2.25 with further numbers: of the largest size (19 bytes each), or 1 (a byte each).

fn der(numbers: &[u128]) -> Vec<u8> {
    let mut content = vec![2 * 40 + 25];
    for number in numbers {
        let groups = (1..19).rev().filter(|group| number >> (7 * group) > 0);
        content.extend(groups.map(|group| (number >> (7 * group)) as u8 | 0x80));
        content.push(*number as u8 & 0x7f);
    }
    let length = u8::try_from(content.len()).expect("short form of a length");
    [vec![0x06, length], content].concat()
}

fn check(what: &str, numbers: &[u128]) {
    let der = der(numbers);
    let outcome = match asn1::parse_single::<asn1::ObjectIdentifier>(&der) {
        Ok(_) => "parses".to_owned(),
        Err(error) => format!("error: {error}"),
    };
    let raw = asn1::parse_single::<asn1::Tlv>(&der).is_ok();
    println!("{what:<22} {:>3} bytes  as raw bytes {raw}  as identifier {outcome}", der.len() - 2);
}

fn main() {
    check("2.25, largest 3 times", &[u128::MAX; 3]);
    check("2.25, largest 4 times", &[u128::MAX; 4]);
    check("2.25, 1 62 times", &[1; 62]);
    check("2.25, 1 63 times", &[1; 63]);
}
RUST
CARGO_TARGET_DIR=$work/target cargo build --quiet >log 2>&1 || { cat log; cannot "no build"; }
target/debug/finding | tee seen
outcomes=$(awk '{ print !/raw bytes true/ ? "other" : /identifier error: / ? "error" : /parses$/ ? "parses" : "other" }' seen | xargs)
test "$outcomes" = "parses error parses error" || { echo "changed: $outcomes"; exit 1; }
