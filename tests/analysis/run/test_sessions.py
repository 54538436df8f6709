"""What the record of drivers' sessions says of the hours spent, by hand-made sessions."""

import os
from pathlib import Path

import pytest

from analysis.run.sessions import End, hours_spent, last_written, read_sessions
from analysis.run.trials import Run, read_run
from analysis.tables.trials import recipes
from tests.support.run_directories import BEGUN, add, drive, start
from trainables.storage import Folder


def run_of(root: Path) -> Run:
    return read_run(Folder(str(root)))


def write_checkpoint(root: Path, trial: str, after: float) -> None:
    """The first epoch's checkpoint of a trial, so many seconds after BEGUN."""
    folder = Folder(str(root)).child("trials", trial, "checkpoint", "1")
    folder.write_json("state.json", {"history": [{"epoch": 1, "seconds": 1.0}]})
    os.utime(root / "trials" / trial / "checkpoint" / "1" / "state.json", (BEGUN.timestamp() + after,) * 2)


def test_sessions_are_read_in_their_order_and_torn_ones_are_no_sessions(tmp_path: Path) -> None:
    start(tmp_path)
    for number in (10, 2, 1):
        drive(tmp_path, number, began=number, host=f"host-{number}", ended=number + 3600, why="interrupted")
    (tmp_path / "sessions" / "3").mkdir()
    Folder(str(tmp_path)).child("sessions", "4").write("began.json", b"{")
    sessions = read_sessions(Folder(str(tmp_path)))
    assert [one.host for one in sessions] == ["host-1", "host-2", "host-10"]
    assert {(one.end, one.hours) for one in sessions} == {(End.INTERRUPTED, 1.0)}
    assert read_sessions(Folder(str(tmp_path / "elsewhere"))) == ()


def test_a_trial_without_an_end_runs_only_while_a_search_may_work_on_it(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "a", robust=0.5)
    add(tmp_path, "b", state=None, number=1)

    def states() -> dict[str, str]:
        table = recipes(run_of(tmp_path))
        return dict(zip(table["id"], table["state"], strict=True))

    assert states() == {"a": "complete", "b": "running"}
    drive(tmp_path, 1, began=0)
    assert states() == {"a": "complete", "b": "running"}
    drive(tmp_path, 1, began=0, ended=60, why="interrupted")
    assert states() == {"a": "complete", "b": "unfinished"}
    drive(tmp_path, 2, began=90)
    assert states() == {"a": "complete", "b": "running"}


@pytest.mark.parametrize("why", ["finished", "interrupted", "failed"])
def test_hours_of_an_ended_session_and_of_those_before_it(tmp_path: Path, why: str) -> None:
    start(tmp_path)
    drive(tmp_path, 1, began=0, ended=5400, why=why)
    assert hours_spent(run_of(tmp_path)) == 1.5
    drive(tmp_path, 2, began=90_000, before=1.5, ended=90_000 + 900, why=why)
    assert hours_spent(run_of(tmp_path)) == 1.75  # the night between them counts nothing


def test_a_killed_session_lasted_until_the_last_thing_that_was_written(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "a", state=None)  # begun at BEGUN
    drive(tmp_path, 1, began=-1800)
    assert hours_spent(run_of(tmp_path)) == 0.5
    write_checkpoint(tmp_path, "a", 1800)
    assert hours_spent(run_of(tmp_path)) == 1.0
    drive(tmp_path, 2, began=90_000, before=1.0)  # killed before it wrote anything
    assert hours_spent(run_of(tmp_path)) == 1.0
    write_checkpoint(tmp_path, "a", 90_000 + 3600)
    assert hours_spent(run_of(tmp_path)) == 2.0
    Folder(str(tmp_path)).child("sessions", "2").write("ended.json", b"{")  # torn: killed while it said why
    assert hours_spent(run_of(tmp_path)) == 2.0


def test_a_run_without_sessions_counts_from_its_start_to_its_last_word(tmp_path: Path) -> None:
    start(tmp_path)
    assert last_written(run_of(tmp_path)) is None
    assert hours_spent(run_of(tmp_path)) == 0.0
    start(tmp_path, provenance={"started": BEGUN.isoformat()})
    assert hours_spent(run_of(tmp_path)) == 0.0
    add(tmp_path, "a", state=None)
    write_checkpoint(tmp_path, "a", 7200)
    assert hours_spent(run_of(tmp_path)) == 2.0
