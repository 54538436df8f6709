"""Checkpoints of ended trials without what is needed only to train on: whole before, at any moment, and after."""

from pathlib import Path
from typing import Any

import pytest

from trainables.checkpoints.checkpoint import read_newest, read_result, write
from trainables.checkpoints.thinning import thin, was_dropped, would_free
from trainables.storage import Folder

FILES = {"weights.safetensors": b"w" * 100, "best.safetensors": b"b" * 100, "optimizer.safetensors": b"o" * 300}


def trained(place: Path, files: dict[str, bytes] = FILES) -> Folder:
    folder = Folder(str(place))
    for epoch in (1, 2, 3):
        write(folder, epoch, files, {"history": list(range(epoch)), "ledger": {"passes": epoch}})
    return folder


def result(folder: Folder, *, best: bool = False) -> bytes | None:
    return read_result(folder, epochs=3, best=best)


@pytest.mark.parametrize(
    ("files", "best", "kept"),
    [
        (FILES, False, "weights.safetensors"),
        (FILES, True, "best.safetensors"),
        (FILES | {"average.safetensors": b"a" * 100}, False, "average.safetensors"),
    ],
)
def test_only_the_weights_of_the_result_stay(tmp_path: Path, files: dict[str, bytes], best: bool, kept: str) -> None:
    folder = trained(tmp_path, files)
    expected, before = would_free(folder, weights=True, best=best), folder.size()
    assert thin(folder, weights=True, best=best) == before - folder.size() == pytest.approx(expected, abs=200)
    assert folder.names() == ["3"]
    assert folder.child("3").names() == sorted([kept, "state.json"])
    assert result(folder, best=best) == files[kept]
    found = read_newest(folder)
    assert found is not None
    assert (found.state["history"], found.state["ledger"]) == ([0, 1, 2], {"passes": 3})
    assert not was_dropped(folder)
    assert thin(folder, weights=True, best=best) == 0


def test_without_weights_the_history_stays_and_it_is_known_that_they_were_dropped(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    thin(folder, weights=True, best=False)
    assert thin(folder, weights=False, best=False) > 0
    assert folder.child("3").names() == ["state.json"]
    assert result(folder) is None
    assert was_dropped(folder)
    found = read_newest(folder)
    assert found is not None
    assert found.state["history"] == [0, 1, 2]
    assert found.state["dropped"] == sorted(FILES)


class Killed(BaseException):
    """Raised in the middle of the work."""


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies before each of its writes and deletions in turn; what is there reads the same, and a call ends it."""
    done: list[str] = []
    moment = 0

    def counted(name: str) -> None:
        original = getattr(Folder, name)

        def act(self: Folder, *arguments: Any, **named: Any) -> Any:
            if len(done) == moment:
                raise Killed
            done.append(name)
            return original(self, *arguments, **named)

        patch.setattr(Folder, name, act)

    for moment in range(6):
        folder = trained(tmp_path / str(moment))
        done.clear()
        with monkeypatch.context() as patch:
            for name in ("write", "delete", "remove"):
                counted(name)
            try:
                thin(folder, weights=True, best=False)
            except Killed:
                assert len(done) == moment
        assert result(folder) == FILES["weights.safetensors"]
        thin(folder, weights=True, best=False)
        assert folder.names() == ["3"]
        assert folder.child("3").names() == ["state.json", "weights.safetensors"]
    assert done == ["write", "delete", "delete", "remove"]  # the last time it was not killed


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    folder.child("3").write("weights.safetensors", b"torn")
    thin(folder, weights=True, best=False)
    assert folder.names() == ["2"]
    assert read_result(folder, epochs=2, best=False) == FILES["weights.safetensors"]
    empty = Folder(str(tmp_path / "empty"))
    assert (thin(empty, weights=True, best=False), would_free(empty, weights=True, best=False)) == (0, 0)
