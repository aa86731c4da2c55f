"""Members of etcd or ferretcd as processes, for scripts that put other software on top of them."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path


def free_ports(count):
    """Ports of the loopback device that were free a moment ago, no two of them equal."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until(condition, seconds, what):
    """The first true value of `condition`, and the seconds that it took. Exits when `seconds` have passed."""
    begin = time.monotonic()
    while True:
        value = condition()
        if value:
            return value, time.monotonic() - begin
        if time.monotonic() - begin > seconds:
            raise SystemExit(f"failed to see {what} within {seconds} s")
        time.sleep(0.1)


class Member:
    """One member: its process, its addresses, its log."""

    def __init__(self, program, directory, name, ports, tls):
        self.program, self.name, self.tls = program, name, tls
        self.client_port, self.peer_port = ports
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.log = directory / f"{name}.log"
        scheme = "https" if tls else "http"
        self.client_url = f"{scheme}://127.0.0.1:{self.client_port}"
        self.peer_url = f"http://127.0.0.1:{self.peer_port}"
        self.process = None

    def start(self, cluster, flags=()):
        """Starts the member of the cluster that `--initial-cluster` describes."""
        command = [
            self.program,
            f"--name={self.name}",
            f"--data-dir={self.directory / self.name}",
            f"--listen-client-urls={self.client_url}",
            f"--advertise-client-urls={self.client_url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={cluster}",
            *flags,
        ]
        if self.tls:
            command += [f"--cert-file={self.tls.cert}", f"--key-file={self.tls.key}"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment
            )

    def kill(self, how=signal.SIGKILL):
        """Ends the process and waits for its end."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None

    def get(self, path, timeout=5):
        """Status and body of a page; None where the member can't be reached."""
        return self.call("GET", path, None, timeout)

    def post(self, path, body, timeout=5):
        """Status and body of a call of the gateway; None where the member can't be reached."""
        return self.call("POST", path, json.dumps(body), timeout)

    def call(self, method, path, body, timeout):
        if self.tls:
            context = ssl.create_default_context(cafile=self.tls.ca)
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.client_port, timeout=timeout, context=context
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.client_port, timeout=timeout)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def healthy(self):
        """Whether it serves linearizable reads."""
        answer = self.get("/health")
        return answer is not None and answer[0] == 200

    def leads(self):
        """Whether it is the leader, as it sees it. Metrics need no user."""
        answer = self.get("/metrics")
        return answer is not None and "\netcd_server_is_leader 1\n" in answer[1]


class Cluster:
    """Members that form a cluster; ends them at the end of a `with` block."""

    def __init__(self, program, directory, count, tls=None, flags=()):
        ports = free_ports(2 * count)
        self.flags = flags
        self.members = [
            Member(program, directory, f"m{number}", ports[2 * number : 2 * number + 2], tls)
            for number in range(count)
        ]
        self.description = ",".join(f"{member.name}={member.peer_url}" for member in self.members)

    def __enter__(self):
        try:
            for member in self.members:
                member.start(self.description, self.flags)
            for member in self.members:
                wait_until(member.healthy, 30, f"{member.name} serve; its log is {member.log}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.kill()

    def restart(self, member):
        """Starts a member that is down, and waits until it serves."""
        member.start(self.description, self.flags)
        wait_until(member.healthy, 30, f"{member.name} serve again; its log is {member.log}")

    def leader(self):
        """The member that leads."""
        running = [member for member in self.members if member.process]
        return wait_until(lambda: next((one for one in running if one.leads()), None), 30, "a leader")[0]

    def enable_auth(self, password):
        """Makes the user root with this password, and turns authentication on."""
        member = self.members[0]
        for path, body in (
            ("user/add", {"name": "root", "password": password}),
            ("role/add", {"name": "root"}),
            ("user/grant", {"user": "root", "role": "root"}),
            ("enable", {}),
        ):
            status, answer = member.post(f"/v3/auth/{path}", body)
            if status != 200:
                raise SystemExit(f"failed to enable authentication: {path}: {answer}")


class Certificates:
    """An authority and one certificate for 127.0.0.1, made by openssl."""

    def __init__(self, directory: Path):
        self.ca, self.cert, self.key = (str(directory / name) for name in ("ca.pem", "cert.pem", "key.pem"))
        ca_key = str(directory / "ca-key.pem")
        new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        authority = [*new, "-subj", "/CN=authority", "-keyout", ca_key, "-out", self.ca]
        leaf = [*new, "-subj", "/CN=member", "-keyout", self.key, "-out", self.cert, "-CA", self.ca]
        leaf += ["-CAkey", ca_key, "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        leaf += ["-addext", "basicConstraints=critical,CA:FALSE"]
        for command in (authority, leaf):
            subprocess.run(command, check=True, capture_output=True)
