"""How far a run is, from directories written by hand."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from analysis.run.status import Status, status_lines, status_of
from analysis.run.trials import Run, read_run
from tests.support.run_directories import add, start, worked_example
from trainables.execution.ending import State
from trainables.storage import Folder

BEGUN = datetime(2026, 11, 24, 8, tzinfo=UTC)  # of every trial in these directories


def look(run: Run, after: float) -> Status:
    return status_of(run, BEGUN + timedelta(seconds=after))


def test_what_ended_and_what_runs_is_counted(tmp_path: Path) -> None:
    status = look(worked_example(tmp_path), 30)
    assert status.ended == {State.COMPLETE: 5, State.PRUNED: 1}
    assert [trial.id for trial in status.running] == ["d"]
    assert (status.silent, status.concluded, status.quiet) == (30.0, False, False)


def test_it_is_said_for_people(tmp_path: Path) -> None:
    start(tmp_path, planned_recipes=9)
    add(tmp_path, "base", role="base", number=0, robust=0.2, flops=0.0)
    add(tmp_path, "pgd", role="baseline", name="pgd_at_20", number=1, robust=0.8, flops=1e10)
    add(tmp_path, "a", number=2, robust=0.6, flops=4e8)
    add(tmp_path, "b", number=3, state=None, scores=[0.1, 0.4])
    run = read_run(Folder(str(tmp_path)))
    checkpoint = tmp_path / "trials" / "b" / "checkpoint" / "2" / "state.json"
    os.utime(checkpoint, (BEGUN.timestamp() + 60, BEGUN.timestamp() + 60))
    assert status_lines(run, look(run, 100)) == [
        f"{tmp_path}: 3 of 9 recipes ended (3 complete), 1 running",
        "  proposed  epoch 2 of 6, robust 0.400  prune 50% l1 global · N-FGSM ε 0.2 · 6 epochs · lr 0.1",
        "most robust proposal 0.600 for 4e+08 FLOPs = 4.0% of the reference: "
        "prune 50% l1 global · N-FGSM ε 0.2 · 6 epochs · lr 0.1",
        "last written 40 s ago",
    ]


def test_a_search_that_is_silent_for_long_may_be_gone(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    assert not look(run, 120).quiet
    assert look(run, 121).quiet
    assert status_lines(run, look(run, 7200))[-2:] == [
        "last written 2 h ago",
        f"If its search is gone, `temper resume {tmp_path}` goes on with it.",
    ]


def test_patience_grows_with_the_length_of_an_epoch(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "a", state=None)
    folder = Folder(str(tmp_path)).child("trials", "a", "checkpoint", "1")
    folder.write_json("state.json", {"history": [{"epoch": 1, "robust_accuracy": 0.1, "seconds": 100.0}]})
    os.utime(tmp_path / "trials" / "a" / "checkpoint" / "1" / "state.json", (BEGUN.timestamp(),) * 2)
    run = read_run(Folder(str(tmp_path)))
    assert not look(run, 500).quiet
    assert look(run, 501).quiet


def test_a_run_with_a_report_is_done_and_one_without_trials_is_told(tmp_path: Path) -> None:
    start(tmp_path)
    run = read_run(Folder(str(tmp_path)))
    assert status_lines(run, look(run, 9)) == [f"{tmp_path}: 0 recipes ended (none yet), 0 running"]
    run.folder.write("report.html", b"")
    status = look(run, 10_000)
    assert status.concluded
    assert not status.quiet
    assert status_lines(run, status)[-1] == f"done; report {tmp_path}/report.html"
