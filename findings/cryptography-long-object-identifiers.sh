#!/usr/bin/env bash
# Software: cryptography 50.0.2 (PyPI), which parses with the crate asn1 0.24.1. The certificates
# are made with the openssl command of the machine.
#
# Expected: an extension that a program does not know and that is not critical has no effect on reading a certificate, and
# neither has the length of its identifier.
#
# Seen: one byte too many in the identifier of such an extension, 64 instead of 63, and the whole certificate does not
# load. OpenSSL reads it. Making the same identifier from text is an error too, "InvalidValue", without a word on length.
#
# Matters: Python clients and tools fail with certificates that OpenSSL takes. The call that fails is the one that loads, so
# a program cannot skip the extension.
#
# Guess: loading raises ValueError for 64 bytes, OpenSSL shows both extensions, and both errors name the length.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cannot() { echo "not tried: $1"; exit 2; }

command -v python3 >log 2>&1 || cannot "needs Python"
command -v openssl >log 2>&1 || cannot "needs the openssl command"
{ python3 -m venv env && env/bin/pip install cryptography==50.0.2; } >log 2>&1 || { cat log; cannot "no package"; }
cat >probe.py <<'PYTHON'
import sys

from cryptography import x509


def outcome(action):
    try:
        action()
        return "works"
    except ValueError as error:
        return f"error: {error}"


for ones in (62, 63):
    oid = "2.25" + ".1" * ones
    with open(f"{ones}.pem", "rb") as file:
        pem = file.read()
    print(f"{ones + 1} bytes, certificate: {outcome(lambda: x509.load_pem_x509_certificate(pem))}")
    print(f"{ones + 1} bytes, from text:   {outcome(lambda: x509.ObjectIdentifier(oid))}")
PYTHON
for ones in 62 63; do
	oid=2.25$(printf '.1%.0s' $(seq $ones))
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out $ones.pem -subj /CN=finding \
		-days 2 -addext "$oid=ASN1:NULL" >log 2>&1 || { cat log; cannot "no certificate"; }
	openssl x509 -in $ones.pem -noout -text | grep -q "^ *$oid: *$" || cannot "OpenSSL does not show the extension"
	echo "$((ones + 1)) bytes, OpenSSL reads the certificate and its extension"
done
env/bin/python probe.py | tee seen
outcomes=$(awk '{ print / works$/ ? "works" : /OidTooLong/ ? "too long" : /InvalidValue/ ? "invalid" : "other" }' seen | paste -sd,)
test "$outcomes" = "works,works,too long,invalid" || { echo "changed: $outcomes"; exit 1; }
