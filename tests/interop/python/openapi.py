"""Requests made from etcd's published OpenAPI description, sent to etcd and to ferretcd, and what differs.

    tests/interop/python/prepare openapi
    target/interop/python/openapi/bin/python tests/interop/python/openapi.py REFERENCE PROGRAM [SEED]

Each request goes to both; a status, a code or a text that only one of them gives is printed. Exits with 1 when there is
any that docs/compatibility.md does not have. Takes a few minutes, most of them for making the requests.

Left out is `/v3/cluster/member/add`: a member that is never started takes the quorum.
"""

import collections
import http.client
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import hypothesis
import schemathesis
from members import Cluster
from schemathesis.generation import GenerationMode

LEFT_OUT = {"/v3/cluster/member/add"}
EXAMPLES = 60
# Streams do not end by themselves; what arrives in this time counts, in seconds.
STREAM = 0.3
STREAMS = {"/v3/watch", "/v3/lease/keepalive"}
# What docs/compatibility.md has among the differences, as patterns of the program's error.
DELIBERATE = re.compile(
    r"invalid value for enum field \w+: \"|invalid value for u?int64 field \w+: \"\d"
    r"|^etcdserver: given member URLs are invalid$"
)
# Of a text in a stream that is no request.
DELIBERATE_IN_STREAMS = re.compile(r"^proto: |^invalid character |^unexpected EOF$")


def description():
    """The path of etcd's description of its gateway, which is in its Go module."""
    command = ["go", "mod", "download", "-json", "go.etcd.io/etcd/v3@v3.7.1"]
    module = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["Dir"]
    return f"{module}/Documentation/dev-guide/apispec/swagger/rpc.swagger.json"


def send(member, path, body):
    """Status and body. The body of a stream is its first lines."""
    wait = STREAM if path in STREAMS else 10
    connection = http.client.HTTPConnection("127.0.0.1", member.client_port, timeout=wait)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = b""
        while line := response.readline():
            text += line
        return response.status, text.decode()
    except TimeoutError:
        return "open", ""
    finally:
        connection.close()


def outcome(answer):
    """What has to be equal: the status, and for an error its code and text."""
    status, text = answer
    if status == 200 or status == "open":
        return (status,)
    try:
        error = json.loads(text)
    except ValueError:
        return status, text
    # That of a stream has a name.
    if isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    return (status, error.get("code"), error.get("message")) if isinstance(error, dict) else (status, text)


def deliberate(path, answer):
    """Whether the program's error is among the differences that are documented."""
    error = outcome(answer)
    if len(error) != 3:
        return False
    pattern = DELIBERATE_IN_STREAMS if path in STREAMS else DELIBERATE
    return pattern.search(str(error[2])) is not None


def cases(operation, mode, seed, use):
    """Hands the bodies that hypothesis makes for the operation to `use`."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def each(case):
        prepared = case.as_transport_kwargs(base_url="http://127.0.0.1")
        body = prepared.get("json", prepared.get("data"))
        use(body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode())

    each()


def main(reference, program, seed):
    schema = schemathesis.openapi.from_path(description())
    operations = sorted((found.ok() for found in schema.get_all_operations()), key=lambda one: one.path)
    statuses = collections.Counter()
    differences = {}
    with (
        tempfile.TemporaryDirectory(prefix="ferretcd-openapi-") as name,
        Cluster(reference, Path(name) / "reference", 1) as expected,
        Cluster(program, Path(name) / "program", 1) as actual,
    ):

        def compare(path, body):
            one, other = (send(cluster.members[0], path, body) for cluster in (expected, actual))
            statuses[one[0], other[0]] += 1
            if outcome(one) != outcome(other) and not deliberate(path, other):
                differences.setdefault((path, outcome(one), outcome(other)), []).append(body)

        for operation in operations:
            if operation.path in LEFT_OUT:
                continue
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                cases(operation, mode, seed, lambda body: compare(operation.path, body))
            # What alarms and members do to later requests is tested elsewhere.
            for cluster in (expected, actual):
                cluster.members[0].post("/v3/maintenance/alarm", {"action": "DEACTIVATE", "alarm": "NOSPACE"})
                cluster.members[0].post("/v3/maintenance/alarm", {"action": "DEACTIVATE", "alarm": "CORRUPT"})
    for (one, other), count in sorted(statuses.items(), key=str):
        print(f"{count:6} requests: {one} from the reference, {other} from the program")
    for (path, one, other), bodies in differences.items():
        shortest = min(bodies, key=len)
        print(f"{path}, {len(bodies)} times:\n  reference {one}\n  program   {other}\n  {shortest[:400]!r}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1))
