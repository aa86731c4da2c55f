"""Runs the published test suite of a Python client against the server that INTEROP_ENDPOINT names.

`prepare suites` has to have been run; `tests/tests/interop.rs` runs this with the Python that it made.
"""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

SOURCE = Path(sys.prefix) / "source"
# What runs against the server; the rest tests other services of tooz.
TESTS = {
    "etcd3gw": ["etcd3gw/tests"],
    "tooz": ["tooz/tests/test_coordination.py", "tooz/tests/drivers/test_etcd3gw.py"],
}


def main(suite):
    endpoint = os.environ["INTEROP_ENDPOINT"]
    os.environ["TOOZ_TEST_HTTP_URL"] = endpoint
    os.environ["TOOZ_TEST_ETCD_PORT"] = str(urlsplit(endpoint).port)
    os.environ["TOOZ_TEST_URL"] = f"etcd3+{endpoint}"
    (directory,) = SOURCE.glob(f"{suite}-*/")
    os.chdir(directory)
    # Most tests sleep most of the time. -rs: the reasons of skipped tests.
    pytest = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-n", "6", *TESTS[suite]]
    os.execv(sys.executable, pytest)


if __name__ == "__main__":
    main(sys.argv[1])
