"""Several Ray hosts on one machine, each in namespaces of its own: they can be cut off, lose power, and be drained."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pytest

from tests.support.heads import drain_command

ROOT = Path(__file__).resolve().parents[2]
PORT = 6379
# Without these, Ray takes minutes to notice that a host is gone; every node and the driver must have them.
QUICK = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_grpc_client_keepalive_time_ms": "5000",
    "RAY_grpc_client_keepalive_timeout_ms": "5000",
}
# Its own shared memory, and its own place for Ray's sockets and logs.
_NODE = """
set -e
hostname "$2"; mount -t tmpfs -o size=256m tmpfs /dev/shm; mkdir -p /tmp/ray "$1"; mount --bind "$1" /tmp/ray; shift 2
exec "$@"
"""
_STATES = """
import sys, time, ray
ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)
deadline = time.monotonic() + 90
while True:
    alive = {node["NodeManagerAddress"]: node["NodeID"] for node in ray.nodes() if node["Alive"]}
    if len(alive) >= int(sys.argv[2]) or time.monotonic() > deadline:
        break
    time.sleep(0.2)
print(*(f"{address}={name}" for address, name in alive.items()))
"""


def require_hosts() -> None:
    """Skip the test, with the reason, where hosts cannot be made."""
    reason = why_no_hosts()
    if reason is not None:
        pytest.skip(reason)


def why_no_hosts() -> str | None:
    """Why hosts cannot be made here; None where they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"probe{os.getpid()}"
    try:
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True, text=True)
        subprocess.run(["unshare", "-m", "-p", "-u", "--fork", "true"], check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        return f"{error.filename} is not installed (iproute2, util-linux)"
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.strip()}"
    finally:
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return None


class Hosts:
    """So many hosts on a switch of their own; host 0 is the first head. The file system is common to all of them."""

    def __init__(self, count: int, folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
        """Take a folder for what hosts keep to themselves, and what every process on them finds in its environment."""
        self._count, self._folder = count, folder
        self._prefix = f"t{os.getpid()}"
        self._nodes: dict[int, subprocess.Popen[bytes]] = {}
        self._names: dict[str, str] = {}
        self._head = 0
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.environment = kept | QUICK | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        } | dict(environment or {})  # fmt: skip

    def __enter__(self) -> "Hosts":
        try:
            self._wire()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in list(self._nodes):
            self.kill(host)
        for name in [self._name(host) for host in range(self._count)] + [self._switch]:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    @property
    def address(self) -> str:
        """Of the head."""
        return f"{self.ip(self._head)}:{PORT}"

    def ip(self, host: int) -> str:
        return f"10.99.0.{host + 1}"

    def name(self, host: int) -> str:
        """What the host calls itself."""
        return f"host{host}"

    def start(self, head: int, workers: Sequence[int], *, cpus: int = 1, head_cpus: int = 0) -> None:
        """Start Ray on a head, then on workers, and wait until all of them are alive."""
        self._head = head
        self._start(head, "--head", f"--port={PORT}", "--include-dashboard=false", f"--num-cpus={head_cpus}")
        for host in workers:
            self.join(host, cpus=cpus)
        self._names = self.alive(1 + len(workers))
        assert len(self._names) == 1 + len(workers), (self._names, self._folder)

    def join(self, host: int, *, cpus: int = 1) -> None:
        """Start Ray on a host as a worker of the head that is there."""
        self._start(host, f"--address={self.address}", f"--num-cpus={cpus}")

    def alive(self, wanted: int = 0) -> dict[str, str]:
        """Node ids by address, as the head sees them; waits up to 90 s for so many."""
        done = self.run(self._head, [sys.executable, "-c", _STATES, self.address, str(wanted)])
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(pair.split("=") for pair in done.stdout.split())

    def popen(self, host: int, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a process on a host, its output going to a file; it dies with the host."""
        with log.open("ab") as output:
            return subprocess.Popen(self._on(host, command), stdout=output, stderr=output, env=self.environment)

    def run(
        self, host: int, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host to its end."""
        wanted = self.environment if environment is None else dict(environment)
        return subprocess.run(
            self._on(host, command), capture_output=True, text=True, timeout=300, check=False, env=wanted
        )

    def cut(self, host: int) -> None:
        """Pull the host's network cable."""
        _ip("-n", self._switch, "link", "set", self._port(host), "down")

    def heal(self, host: int) -> None:
        """Plug it in again."""
        _ip("-n", self._switch, "link", "set", self._port(host), "up")

    def kill(self, host: int) -> None:
        """Power loss: every process on the host is gone at once."""
        node = self._nodes.pop(host)
        if node.poll() is None:
            os.kill(self._init(node), signal.SIGKILL)  # the first process of its namespace, and so all in there
        node.kill()
        node.wait()

    def drain(self, host: int, *, seconds: int) -> None:
        """Tell Ray that the host will be taken away in so many seconds; taking it away is the caller's part."""
        node = self._names[self.ip(host)]
        done = self.run(self._head, drain_command(self.address, node, seconds))
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def _switch(self) -> str:
        return f"{self._prefix}sw"

    def _name(self, host: int) -> str:
        return f"{self._prefix}h{host}"

    def _port(self, host: int) -> str:
        return f"{self._prefix}p{host}"

    def _wire(self) -> None:
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "br0", "up")
        for host in range(self._count):
            name, inner, port = self._name(host), f"{self._prefix}v{host}", self._port(host)
            _ip("netns", "add", name)
            _ip("link", "add", inner, "type", "veth", "peer", "name", port)
            _ip("link", "set", inner, "netns", name)
            _ip("link", "set", port, "netns", self._switch)
            _ip("-n", self._switch, "link", "set", port, "master", "br0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", inner, "name", "eth0")
            _ip("-n", name, "addr", "add", f"{self.ip(host)}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "route", "add", "default", "via", "10.99.0.254")

    def _start(self, host: int, *options: str) -> None:
        ray = [_ray(), "start", "--block", f"--node-ip-address={self.ip(host)}", "--object-store-memory=120000000"]
        command = ["ip", "netns", "exec", self._name(host), "unshare", "-m", "-p", "-u", "--fork", "--mount-proc"]
        own = [str(self._folder / self.name(host)), self.name(host)]
        with (self._folder / f"{self.name(host)}.log").open("ab") as log:
            self._nodes[host] = subprocess.Popen(
                [*command, "--kill-child", "bash", "-c", _NODE, "node", *own, *ray, *options],
                stdout=log,
                stderr=log,
                env=self.environment,
            )

    def _init(self, node: "subprocess.Popen[bytes]") -> int:
        """The process that is number 1 on the host: the child of unshare."""
        children = Path(f"/proc/{node.pid}/task/{node.pid}/children")
        for _ in _until(20):
            assert node.poll() is None, f"a host ended: see {self._folder}"
            if found := children.read_text().split():
                return int(found[0])
        raise AssertionError("a host did not start")

    def _on(self, host: int, command: Sequence[str]) -> list[str]:
        return ["nsenter", "-t", str(self._init(self._nodes[host])), "-m", "-n", "-p", "-u", *command]


def _until(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.05)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _ray() -> str:
    return str(Path(sys.executable).with_name("ray"))
