"""Ray nodes as somebody else would have started them: processes with ports and a folder of their own."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_PORTS = (
    "node-manager-port", "object-manager-port", "runtime-env-agent-port", "metrics-export-port",
    "dashboard-agent-listen-port", "dashboard-agent-grpc-port",
)  # fmt: skip
_OF_A_HEAD = ("port", "ray-client-server-port", "dashboard-port")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def authentication(token: str | None) -> dict[str, str]:
    """The environment of a process that uses this token, or none."""
    return {"RAY_AUTH_MODE": "disabled"} if token is None else {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


def drain_command(address: str, node: str, seconds: int) -> list[str]:
    """Tells Ray that a node, by its id, will be taken away in so many seconds."""
    ray = str(Path(sys.executable).with_name("ray"))
    why = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot instance taken back"]
    when = ["--deadline-remaining-seconds", str(seconds)]
    return [ray, "drain-node", "--address", address, "--node-id", node, *why, *when]


@contextmanager
def head(folder: Path, token: str | None, *options: str, dashboard: bool = False) -> Iterator[dict[str, int]]:
    """A head node with two CPUs; gives its ports by the names of their options once it answers.

    Args:
        folder: its temporary folder.
        token: what it asks for, or None.
        options: further ones of `ray start`.
        dashboard: whether it has one.
    """
    ports = dict(zip([*_OF_A_HEAD, *_PORTS], free_ports(len(_OF_A_HEAD) + len(_PORTS)), strict=True))
    arguments = ["--head", f"--include-dashboard={str(dashboard).lower()}", f"--temp-dir={folder}", *options]
    with _node(arguments, ports, token) as process:
        for name in ("port", *(["dashboard-port"] if dashboard else [])):
            _await(ports[name], process)
        yield ports


@contextmanager
def worker(port: int, token: str | None, *options: str, prefix: Sequence[str] = ()) -> Iterator[None]:
    """Another node with two CPUs of the head at this port of 127.0.0.1; `prefix` is a command to start it by."""
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    # A folder of its own: a node that unpacks a working directory first removes the one that is there.
    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
        _node([f"--address=127.0.0.1:{port}", f"--temp-dir={folder}", *options], ports, token, prefix) as process,
    ):
        _await(ports["node-manager-port"], process)
        yield


@contextmanager
def _node(
    arguments: Sequence[str], ports: dict[str, int], token: str | None, prefix: Sequence[str] = ()
) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [
            *prefix, str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=2",
            "--node-ip-address=127.0.0.1", "--disable-usage-stats", "--object-store-memory=100000000", *arguments,
            *(f"--{name}={port}" for name, port in ports.items()),
        ],
        env={key: value for key, value in os.environ.items() if key != "RAY_AUTH_TOKEN"} | authentication(token),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 180  # a dashboard on a busy machine
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.2)
