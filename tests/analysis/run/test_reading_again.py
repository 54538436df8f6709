"""A run that is read again and again, as `status --watch` does, takes what had ended as it was."""

from pathlib import Path

from analysis.run.trials import read_run
from tests.support.run_directories import add, start
from trainables.execution.ending import State
from trainables.storage import Folder


def test_only_what_had_not_ended_is_read_again(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "a", number=0, robust=0.5)
    add(tmp_path, "b", number=1, state=None, scores=[0.1])
    folder = Folder(str(tmp_path))
    first = read_run(folder)
    (tmp_path / "trials" / "a" / "recipe.json").write_text("not read")
    add(tmp_path, "b", number=1, robust=0.6, scores=[0.1, 0.6])
    add(tmp_path, "c", number=2, state=None)
    again = read_run(folder, first)
    assert [(one.id, one.state) for one in again.trials] == [
        ("a", State.COMPLETE), ("b", State.COMPLETE), ("c", State.RUNNING)
    ]  # fmt: skip
    assert len(again.trials[1].history) == 2
    assert again.unreadable == ()
    assert read_run(folder).unreadable == ("a",)


def test_without_curves_those_of_what_runs_or_was_stopped_are_read(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "a", number=0, robust=0.5, scores=[0.4, 0.5])
    add(tmp_path, "b", number=1, state="pruned", scores=[0.1])
    add(tmp_path, "c", number=2, state=None, scores=[0.1, 0.2])
    lengths = [len(one.history) for one in read_run(Folder(str(tmp_path)), curves=False).trials]
    assert lengths == [0, 1, 2]
    assert [len(one.history) for one in read_run(Folder(str(tmp_path))).trials] == [2, 1, 2]
