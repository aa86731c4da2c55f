"""Three Patroni nodes on a cluster of three members: bootstrap, switchover, failover, members that end.

    apt-get install postgresql
    tests/interop/python/prepare patroni
    target/interop/python/patroni/bin/python tests/interop/python/patroni_failover.py PROGRAM [plain|auth|tls]

Runs as root; Patroni and PostgreSQL as the user postgres. Prints how long each step took, and what Patroni and the
members logged as errors. Exits with 1 when a step fails. Takes three and a half minutes.
"""

import collections
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from members import Certificates, Cluster, free_ports, wait_until

NODES = 3
PASSWORD = "of-these-tests"
# A leader whose key is not renewed loses it after 20 s, the least that Patroni allows.
TTL, LOOP, RETRY = 20, 5, 5
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Node:
    """One Patroni with its PostgreSQL."""

    def __init__(self, directory, name, dcs):
        self.name, self.directory = name, directory
        self.api, self.port = free_ports(2)
        self.log = directory / f"{name}.log"
        self.config = directory / f"{name}.json"
        self.data = directory / f"{name}-data"
        self.process = None
        self.config.write_text(json.dumps(self.settings(dcs)))

    def settings(self, dcs):
        local = ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
        return {
            "scope": "interop",
            "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self.api}", "connect_address": f"127.0.0.1:{self.api}"},
            "etcd3": dcs,
            "bootstrap": {
                "dcs": {"ttl": TTL, "loop_wait": LOOP, "retry_timeout": RETRY, "postgresql": {"use_pg_rewind": True}},
                "initdb": [{"encoding": "UTF8"}, "data-checksums", "no-sync"],
                "pg_hba": local,
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}",
                "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self.data),
                "bin_dir": str(POSTGRES),
                "pgpass": str(self.directory / f"{self.name}.pgpass"),
                "pg_hba": local,
                "authentication": {
                    "superuser": {"username": "postgres", "password": PASSWORD},
                    "replication": {"username": "replicator", "password": PASSWORD},
                },
                "parameters": {"shared_buffers": "16MB", "unix_socket_directories": str(self.directory), "fsync": "off"},
            },
        }

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "patroni", str(self.config)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                user="postgres",
                group="postgres",
                cwd=self.directory,
                env={"PATH": os.environ["PATH"], "HOME": str(self.directory)},
            )

    def kill(self):
        """Ends Patroni and its PostgreSQL at once, as a machine that loses power does."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def view(self):
        """The cluster as this node sees it: role and state of each node, by name."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.api}/cluster", timeout=3) as answer:
                members = json.load(answer)["members"]
        except OSError:
            return {}
        return {member["name"]: (member["role"], member["state"]) for member in members}

    def sql(self, statement):
        """The output of a statement; None when it fails."""
        command = [POSTGRES / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-Atqc", statement]
        environment = {**os.environ, "PGCONNECT_TIMEOUT": "3"}
        run = subprocess.run(command, capture_output=True, text=True, env=environment)
        return run.stdout.strip() if run.returncode == 0 else None


class Trial:
    """The nodes, and the table of what they did."""

    def __init__(self, cluster, nodes):
        self.cluster, self.nodes = cluster, nodes
        self.rows = 0

    def report(self, step, seconds, remark=""):
        print(f"{step:<52} {seconds:6.1f} s  {remark}", flush=True)

    def settled(self, leader=None):
        """The leader, when every running node sees it lead and all others follow it."""
        running = [node for node in self.nodes if node.process]
        views = [node.view() for node in running]
        leaders = {name for view in views for name, (role, _) in view.items() if role == "leader"}
        if len(leaders) != 1 or leader and leaders != {leader.name}:
            return None
        expected = {node.name: "streaming" for node in running} | {name: "running" for name in leaders}
        for view in views:
            if any(view.get(name, ("", ""))[1] != state for name, state in expected.items()):
                return None
        return next((node for node in running if node.name in leaders), None)

    def writes(self):
        """The node that accepts a row."""
        for node in self.nodes:
            if node.process and node.sql(f"insert into rows values ({self.rows + 1})") is not None:
                self.rows += 1
                return node
        return None

    def complete(self):
        """Whether every running node has every row."""
        running = [node for node in self.nodes if node.process]
        return all(node.sql("select count(*) from rows") == str(self.rows) for node in running)

    def check_rows(self):
        wait_until(self.complete, 30, f"all {self.rows} rows on all nodes")

    def bootstrap(self):
        begin = time.monotonic()
        for node in self.nodes:
            node.start()
        leader, _ = wait_until(self.settled, 180, "a leader and two nodes that follow it")
        self.report("bootstrap, until both others follow", time.monotonic() - begin)
        leader.sql("create table rows (number int)")
        self.writes()
        self.check_rows()

    def switchover(self):
        before = self.settled()
        candidate = next(node for node in self.nodes if node is not before)
        begin = time.monotonic()
        patronictl = Path(sys.executable).with_name("patronictl")
        command = [patronictl, "-c", str(before.config), "switchover", "--force"]
        command += ["--leader", before.name, "--candidate", candidate.name]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            raise SystemExit(f"patronictl: {run.stdout}{run.stderr}")
        wait_until(lambda: self.writes() is candidate, 60, "the candidate accept writes")
        writable = time.monotonic() - begin
        wait_until(lambda: self.settled(candidate), 120, "the others follow the candidate")
        self.report("planned switchover, until the candidate writes", writable)
        self.report("planned switchover, until all follow", time.monotonic() - begin)
        self.check_rows()

    def failover(self):
        before = self.settled()
        before.kill()
        _, seconds = wait_until(self.writes, 120, "another node accept writes")
        self.report("leader killed, until another node writes", seconds, f"key lives {TTL} s")
        before.start()
        _, seconds = wait_until(self.settled, 120, "the killed node follow")
        self.report("killed node started, until it follows", seconds)
        self.check_rows()

    def member_ends(self, what, member, how):
        """Writes go on, and the leader stays, while a member is away for longer than the leader's key lives."""
        before = self.settled()
        begin = time.monotonic()
        member.kill(how)
        rejected, count = 0, 0
        while time.monotonic() - begin < TTL + LOOP:
            count += 1
            if self.writes() is not before:
                rejected += 1
            time.sleep(0.2)
        if self.settled(before) is None:
            raise SystemExit(f"{what}: the leader changed; {before.name} led before")
        self.report(f"{what}, same leader for", time.monotonic() - begin, f"{rejected} of {count} writes rejected")
        self.cluster.restart(member)
        if rejected:
            raise SystemExit(f"{what}: PostgreSQL rejected writes")
        self.check_rows()

    def majority_ends(self):
        """Without a majority the leader steps down; it comes back with the majority."""
        ended = self.cluster.members[:2]
        begin = time.monotonic()
        for member in ended:
            member.kill()
        wait_until(lambda: self.writes() is None, 60, "no node accept writes without a majority")
        self.report("two members killed, until no node writes", time.monotonic() - begin)
        begin = time.monotonic()
        for member in ended:
            member.start(self.cluster.description, self.cluster.flags)
        wait_until(self.writes, 120, "a node accept writes again")
        self.report("members started, until a node writes", time.monotonic() - begin)
        wait_until(self.settled, 120, "all nodes follow again")
        self.check_rows()


def print_errors(nodes, members):
    """Each kind of line that reports an error, with how often it was logged."""
    for node in nodes:
        lines = collections.Counter()
        for line in node.log.read_text(errors="replace").splitlines():
            if re.search(r"ERROR: |CRITICAL|Traceback|FATAL", line) and not re.match(r"[\d: .-]+\w+ \[\d+\]", line):
                lines[re.sub(r"0x[0-9a-f]+|\d+", "N", line.split("ERROR:")[-1])[:150].strip()] += 1
        for line, count in lines.most_common(12):
            print(f"  {node.name}: {count} x {line}")
    for member in members:
        lines = collections.Counter()
        for line in member.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry["level"] not in ("debug", "info"):
                    lines[f"{entry['level']}: {entry['msg']}: {entry.get('error', '')}"[:150]] += 1
        for line, count in lines.most_common(12):
            print(f"  {member.name}: {count} x {line}")


def main(program, variant):
    if POSTGRES is None:
        raise SystemExit("failed to find PostgreSQL: apt-get install postgresql")
    directory = Path(tempfile.mkdtemp(prefix="ferretcd-patroni-"))
    shutil.chown(directory, "postgres", "postgres")
    tls = Certificates(directory) if variant == "tls" else None
    nodes = []
    print(f"Patroni on {program}, {variant}; logs in {directory}", flush=True)
    with Cluster(program, directory, 3, tls) as cluster:
        dcs = {"hosts": [f"127.0.0.1:{member.client_port}" for member in cluster.members]}
        if variant == "auth":
            cluster.enable_auth(PASSWORD)
            dcs |= {"username": "root", "password": PASSWORD}
        if variant == "tls":
            dcs |= {"protocol": "https", "cacert": tls.ca}
        nodes = [Node(directory, f"n{number}", dcs) for number in range(NODES)]
        trial = Trial(cluster, nodes)
        try:
            trial.bootstrap()
            trial.switchover()
            trial.failover()
            leader = cluster.leader()
            follower = next(member for member in cluster.members if member is not leader)
            trial.member_ends("leading member killed", leader, signal.SIGKILL)
            trial.member_ends("following member killed", follower, signal.SIGKILL)
            trial.member_ends("leading member stopped", cluster.leader(), signal.SIGTERM)
            trial.majority_ends()
        finally:
            for node in nodes:
                node.kill()
            print_errors(nodes, cluster.members)
    shutil.rmtree(directory)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "plain")
