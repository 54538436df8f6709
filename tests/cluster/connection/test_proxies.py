"""Where the environment names a proxy, as in many companies and Slurm clusters, and the cluster is not behind it."""

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import grpc
import pytest
import ray

from cluster.connection import authentication
from cluster.connection.jobs import Jobs

NOWHERE = "http://127.0.0.1:9"
PROXIES = ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY")


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.setenv(name, NOWHERE)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")


class AsksForAToken(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    def service(self, call: Any) -> Any:
        def refuse(request: bytes, context: Any) -> None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")

        return grpc.unary_unary_rpc_method_handler(refuse)


class Dashboard(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # the name that http.server looks for
        told = {"version": "4", "ray_version": ray.__version__, "ray_commit": "", "session_name": ""}
        self.send_response(200 if self.path == "/api/version" else 401)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def dashboard() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Dashboard)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_head_is_asked_directly() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((AsksForAToken(),))
    port = server.add_insecure_port("0.0.0.0:0")
    server.start()
    try:
        assert not authentication.is_open(f"ray://127.0.0.1:{port}")
    finally:
        server.stop(None).wait()


def test_the_dashboard_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    with dashboard() as address:
        monkeypatch.setattr("ray._private.services.get_webui_url_from_internal_kv", lambda: address)
        assert authentication.dashboard() == (address, False)


def test_a_job_server_at_the_end_of_a_tunnel_is_asked_directly_and_others_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet")
    with dashboard() as address:
        Jobs(f"http://{address}")
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "intranet,127.0.0.1"
