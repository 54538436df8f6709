"""A search on a Ray cluster that somebody else started."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import SMALL, temper
from tests.support.heads import head

TOKEN = secrets.token_hex(32)


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a head node with two CPUs that asks for a token."""
    with head(tmp_path_factory.mktemp("ray"), TOKEN) as ports:
        yield f"127.0.0.1:{ports['port']}"


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.alone
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
