"""A search on a Ray cluster that somebody else started."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import SMALL, temper

TOKEN = secrets.token_hex(32)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a head node with two CPUs that asks for a token."""
    names = (
        "port", "node-manager-port", "object-manager-port", "runtime-env-agent-port", "metrics-export-port",
        "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port",
    )  # fmt: skip
    ports = free_ports(len(names))
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=2",
            "--node-ip-address=127.0.0.1", "--include-dashboard=false", "--disable-usage-stats",
            f"--temp-dir={tmp_path_factory.mktemp('ray')}",
            *(f"--{name}={port}" for name, port in zip(names, ports, strict=True)),
        ],
        env=os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", ports[0]), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.2)
        yield f"127.0.0.1:{ports[0]}"
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.mark.slow
def test_a_search_joins_a_cluster_with_its_token_and_leaves_it_running(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("search", "digits", "--address", cluster, "--storage", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    refused = temper(*arguments, "--name", "refused", settings=SMALL)
    assert refused.returncode == 2
    assert "no token for the cluster" in refused.stderr
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    wrong = temper(*arguments, "--name", "wrong", settings=SMALL)
    assert wrong.returncode == 2, wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    for name in ("first", "second"):
        done = temper(*arguments, "--name", name, settings=SMALL)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (tmp_path / name / "report.html").exists()
