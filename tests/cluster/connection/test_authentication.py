"""Whether a head asks for a token, against real heads."""

import secrets
import socket
import time

import pytest

from cluster.connection.authentication import is_open
from tests.support.heads import free_ports, head
from trainables.errors import InvalidInput


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("asks", [True, False])
def test_it_tells_a_head_that_asks_for_a_token_from_one_that_does_not(
    asks: bool, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = secrets.token_hex(32) if asks else None
    with head(tmp_path_factory.mktemp("ray"), token) as ports:
        if token is not None:
            monkeypatch.setenv("RAY_AUTH_TOKEN", token)  # the right token plays no part,
        for mode in ("token", "disabled"):
            monkeypatch.setenv("RAY_AUTH_MODE", mode)  # nor does what this process says of itself
            started = time.monotonic()
            assert is_open(f"127.0.0.1:{ports['port']}") is not asks
            deadline = time.monotonic() + 30  # the client server answers a little later than the head
            while True:
                try:
                    assert is_open(f"ray://127.0.0.1:{ports['ray-client-server-port']}") is not asks
                    break
                except InvalidInput:
                    assert time.monotonic() < deadline
                    time.sleep(0.5)
            assert is_open(f"127.0.0.1:{ports['port']}") is not asks
            assert time.monotonic() - started < 30


def test_an_address_where_no_head_answers_is_refused() -> None:
    (port,) = free_ports(1)
    with pytest.raises(InvalidInput, match=rf"--address 127.0.0.1:{port}: no Ray cluster answers there"):
        is_open(f"127.0.0.1:{port}")
    with pytest.raises(InvalidInput, match="no address of a Ray cluster"):
        is_open("nonsense")
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(InvalidInput, match="no Ray cluster answers there"):
        is_open(f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.5)
