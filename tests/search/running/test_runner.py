"""How a search leaves its run where it ends before its trials do."""

import time
from pathlib import Path
from typing import Any

import pytest

from cluster.connection.session import Target
from search.monitoring.progress import Terminal
from search.record.lease import Lease, Lost
from search.running import runner
from search.study.loading import load
from trainables.storage import Folder


def end_by(error: Exception, lease: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a search end by an error before it reaches a cluster."""

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(runner, "try_user_compressors", lambda *_: None)
    monkeypatch.setattr(runner, "user_modules", fail)
    study: Any = load("digits", [])
    nothing: Any = None
    with pytest.raises(type(error), match=str(error)):
        runner._run(
            study, nothing, lease, nothing, lambda record: None, target=Target(None), command="temper",
            started=time.perf_counter(), terminal=Terminal(), past_trials=(),
        )  # fmt: skip


@pytest.mark.parametrize("lost", [None, "another driver has gone on with this run"])
def test_tunes_state_is_removed_by_the_driver_that_holds_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str | None
) -> None:
    folder = Folder(str(tmp_path))
    folder.child(".tune").write("state", b"")
    error = ValueError("the search failed") if lost is None else Lost(lost)
    end_by(error, Lease(folder, 1, lost=lost), monkeypatch)
    assert folder.child(".tune").exists("state") == (lost is not None)


def test_a_state_that_cannot_be_removed_does_not_hide_what_ended_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(*_: Any) -> None:
        raise OSError("Stale file handle")

    monkeypatch.setattr(Folder, "remove", stale)
    end_by(ValueError("the search failed"), Lease(Folder(str(tmp_path)), 1), monkeypatch)
