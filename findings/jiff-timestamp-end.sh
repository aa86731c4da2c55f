#!/usr/bin/env bash
# Software: crate jiff 0.2.43, with the feature std only.
#
# Expected: a Timestamp reaches to the end of the year 9999, as the civil DateTime of the same crate and as the formats it
# reads (RFC 3339 and ISO 8601 have four digits for the year).
#
# Seen: Timestamp ends at 9999-12-30T22:00:00.999999999Z. RFC 5280, section 4.1.2.5, gives a certificate without a good
# date of expiry the value 99991231235959Z: it parses as a civil DateTime, but not as a Timestamp, and converting that
# DateTime at UTC is an error. The margin lets every timestamp be shown at every offset from UTC, about 26 hours each way.
#
# Matters: a program that turns notAfter into a Timestamp rejects a valid certificate, or takes it for expired if
# the error counts as such. The seconds have to be kept as a plain integer, or capped on purpose.
#
# Guess: the last second is 9999-12-30T22:00:00Z; the parser says that the timestamp is out of range; the DateTime parses.
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
jiff = { version = "=0.2.43", default-features = false, features = ["std"] }
TOML
cat >src/main.rs <<'RUST'
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

fn show<T: std::fmt::Display>(what: &str, result: Result<T, jiff::Error>) {
    match result {
        Ok(value) => println!("{what:<20} {value}"),
        Err(error) => println!("{what:<20} error: {error}"),
    }
}

fn main() {
    let civil = "9999-12-31T23:59:59".parse::<DateTime>();
    show("last timestamp", Ok(Timestamp::MAX));
    show("parsed as civil", civil.clone());
    show("parsed as timestamp", "9999-12-31T23:59:59Z".parse::<Timestamp>());
    show("civil at UTC", civil.and_then(|civil| civil.to_zoned(TimeZone::UTC)));
    show("from Unix seconds", Timestamp::from_second(253_402_300_799));
}
RUST
CARGO_TARGET_DIR=$work/target cargo build --quiet >log 2>&1 || { cat log; cannot "no build"; }
target/debug/finding | tee seen
outcomes=$(awk '{ print /error: / ? "error" : $NF }' seen | xargs)
expected="9999-12-30T22:00:00.999999999Z 9999-12-31T23:59:59 error error error"
test "$outcomes" = "$expected" || { echo "changed: $outcomes"; exit 1; }
