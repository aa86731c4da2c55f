"""What kubelet's probes see of a member in trouble: etcd and ferretcd, one below the other.

    python3 tests/interop/python/probes.py REFERENCE PROGRAM [SITUATION]

Runs as root, because of the small disk. Each situation prints, for each path that kubeadm's manifests have probed,
the statuses and bodies in their order, without repetitions. Exits with 1 where they differ. Equal are two orders of the same checks, which is random in etcd, and the two reasons
for which a read ends that waits for a leader.
"""

import contextlib
import http.client
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from members import Cluster, Member, free_ports, wait_until

PATHS = [
    "/livez",
    "/readyz",
    "/health",
    "/health?serializable=true",
    "/health?exclude=NOSPACE&serializable=true",
]


def probe(port, path, timeout):
    """Status and body; what kubelet would report without them."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"User-Agent": "kube-probe/1.34", "Accept": "*/*"})
        response = connection.getresponse()
        lines = response.read().decode().replace("etcdserver: leader changed", "etcdserver: request timed out")
        return f"{response.status} {', '.join(sorted(lines.split(chr(10)))).strip(', ')}"
    except TimeoutError:
        return "timeout"
    except (OSError, http.client.HTTPException):
        return "no connection"
    finally:
        connection.close()


class Probes:
    """One thread for each path, which probes once in `period` seconds; what they saw by path."""

    def __init__(self, port, period=1.0, timeout=15.0):
        self.port, self.period, self.timeout = port, period, timeout
        self.seen = {path: [] for path in PATHS}
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(path,)) for path in PATHS]

    def run(self, path):
        while not self.stop.is_set():
            answer = probe(self.port, path, self.timeout)
            seen = self.seen[path]
            if not seen or seen[-1] != answer:
                seen.append(answer)
            self.stop.wait(self.period)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def starting(program, directory):
    """A sole member from the first instant."""
    cluster = Cluster(program, directory, 1)
    member = cluster.members[0]
    try:
        with Probes(member.client_port, period=0.02) as probes:
            member.start(cluster.description)
            wait_until(member.healthy, 30, "health")
            time.sleep(0.5)
    finally:
        member.kill()
    return probes.seen


def without_others(program, directory, how):
    """One of three whose others stand still or end, and go on; it starts as a follower."""
    with Cluster(program, directory, 3) as cluster:
        leader = cluster.leader()
        member = next(one for one in cluster.members if one is not leader)
        others = [one for one in cluster.members if one is not member]
        with Probes(member.client_port) as probes:
            time.sleep(2)
            for other in others:
                other.process.send_signal(how)
            time.sleep(16)
            for other in others:
                if how == signal.SIGSTOP:
                    other.process.send_signal(signal.SIGCONT)
                else:
                    other.process.wait()
                    other.start(cluster.description)
            wait_until(member.healthy, 30, "health")
            time.sleep(2)
        return probes.seen


def starting_alone(program, directory):
    """One of three that starts without the others."""
    cluster = Cluster(program, directory, 3)
    member = cluster.members[0]
    try:
        with Probes(member.client_port, period=0.2) as probes:
            member.start(cluster.description)
            time.sleep(10)
    finally:
        member.kill()
    return probes.seen


def above_the_quota(program, directory):
    """A member whose database is larger than its quota."""
    with Cluster(program, directory, 1, flags=["--quota-backend-bytes=1000000"]) as cluster:
        member = cluster.members[0]
        with Probes(member.client_port, period=0.2) as probes:
            time.sleep(1)
            fill(member, 40)
            time.sleep(2)
        return probes.seen


def on_a_full_disk(program, directory):
    """A member whose disk has no room left, and then has."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", directory], check=True)
    try:
        with Cluster(program, directory, 1) as cluster:
            member = cluster.members[0]
            with Probes(member.client_port, period=0.2) as probes:
                time.sleep(1)
                ballast = directory / "ballast"
                with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
                    while file.write(b"0" * 65536):
                        pass
                fill(member, 200)
                time.sleep(2)
            print(f"    process: {'ended' if member.process.poll() is not None else 'runs'}")
            return probes.seen
    finally:
        subprocess.run(["umount", directory], check=True)


def learner(program, directory):
    """A learner from its start, with and without the others."""
    with Cluster(program, directory, 1) as cluster:
        voter = cluster.members[0]
        fill(voter, 20)
        member = Member(program, directory, "learner", free_ports(2), None)
        answer = voter.post("/v3/cluster/member/add", {"peerURLs": [member.peer_url], "isLearner": True})
        assert answer[0] == 200, answer
        description = f"{cluster.description},learner={member.peer_url}"
        try:
            with Probes(member.client_port, period=0.1, timeout=15) as probes:
                member.start(description, ["--initial-cluster-state=existing"])
                time.sleep(6)
                voter.process.send_signal(signal.SIGSTOP)
                time.sleep(9)
                voter.process.send_signal(signal.SIGCONT)
                time.sleep(3)
        finally:
            member.kill()
        return probes.seen


def fill(member, count):
    """Puts `count` values of 100 kB, or as many as are accepted."""
    for number in range(count):
        member.post("/v3/kv/put", {"key": "a2V5", "value": "AAAA" * 25000}, timeout=3)


SITUATIONS = {
    "starting": starting,
    "starting without the other two": starting_alone,
    "the other two stand still": lambda *to: without_others(*to, signal.SIGSTOP),
    "the other two were killed": lambda *to: without_others(*to, signal.SIGKILL),
    "above the quota": above_the_quota,
    "a full disk": on_a_full_disk,
    "a learner; its voter stands still for a while": learner,
}


def main(programs, chosen):
    differ = False
    for name, situation in SITUATIONS.items():
        if chosen and chosen not in name:
            continue
        print(f"{name}:", flush=True)
        with tempfile.TemporaryDirectory(prefix="ferretcd-probes-") as directory:
            seen = [situation(program, Path(directory) / str(number)) for number, program in enumerate(programs)]
        for path in PATHS:
            if seen[0][path] == seen[1][path]:
                print(f"  {path}: {'; '.join(seen[0][path])}")
            else:
                differ = True
                for which, answers in zip(("reference", "program"), seen):
                    print(f"  {path}, {which}: {'; '.join(answers[path])}")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:3], sys.argv[3] if len(sys.argv) > 3 else None))
