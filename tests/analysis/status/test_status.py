"""How far a run is, from directories written by hand."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analysis.report.page import render
from analysis.run.trials import Run, read_run
from analysis.status.status import Phase, Status, status_data, status_of
from analysis.status.words import status_lines, still_running
from analysis.tables.trials import finished
from tests.support.run_directories import BEGUN, add, drive, start, worked_example
from trainables.execution.ending import State
from trainables.storage import Folder


def look(run: Run, after: float) -> Status:
    return status_of(run, BEGUN + timedelta(seconds=after))


def test_what_ended_and_what_runs_is_counted(tmp_path: Path) -> None:
    status = look(worked_example(tmp_path), 30)
    assert status.ended == {State.COMPLETE: 5, State.PRUNED: 1}
    assert [trial.id for trial in status.running] == ["d"]
    assert (status.silent, status.phase) == (30.0, Phase.RUNNING)


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
        "best score of a proposal 0.600 for 4e+08 FLOPs = 4.0% of the reference: "
        "prune 50% l1 global · N-FGSM ε 0.2 · 6 epochs · lr 0.1",
        "running; last written 40 s ago",
    ]


def test_the_most_robust_proposal_keeps_the_constraints(tmp_path: Path) -> None:
    bound = {"metric": "clean_accuracy", "at_least": True, "bound": 0.9, "of_dense": False}
    start(tmp_path, constraints=[bound])
    add(tmp_path, "a", number=0, robust=0.6, metrics={"clean_accuracy": 0.8})
    run = read_run(Folder(str(tmp_path)))
    assert status_data(run, look(run, 0))["best"] is None
    assert not any("most robust" in line for line in status_lines(run, look(run, 0)))
    add(tmp_path, "b", number=1, robust=0.5, metrics={"clean_accuracy": 0.95})
    run = read_run(Folder(str(tmp_path)))
    assert status_data(run, look(run, 0))["best"]["id"] == "b"


def test_of_equally_robust_proposals_the_cheapest_is_named(tmp_path: Path) -> None:
    start(tmp_path)
    for number, (name, flops) in enumerate([("a", 2e9), ("b", 1e9), ("c", 3e9)]):
        add(tmp_path, name, number=number, robust=0.6, flops=flops)
    run = read_run(Folder(str(tmp_path)))
    assert status_data(run, look(run, 0))["best"]["id"] == "b"


def test_a_report_says_that_its_search_still_runs(tmp_path: Path) -> None:
    now = (datetime.now(UTC) - BEGUN).total_seconds()
    drive(tmp_path, 1, began=now - 10)
    run = worked_example(tmp_path)
    words = (
        "The search still runs: 6 recipes have ended, with 1 under way; what is said here is of those that have ended."
    )
    assert still_running(run) == words
    assert words in render(run, finished(run), None)
    drive(tmp_path, 1, began=now - 10, ended=now)
    assert still_running(run) is None
    assert "still runs" not in render(run, finished(run), None)


def lines(run: Run, after: float) -> list[str]:
    return status_lines(run, look(run, after), BEGUN + timedelta(seconds=after))


def test_a_search_that_is_silent_for_long_is_dead_since_its_last_word(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    assert look(run, 120).phase is Phase.RUNNING
    assert look(run, 121).phase is Phase.DEAD
    assert lines(run, 7200)[0].endswith("6 recipes ended (5 complete, 1 pruned), 1 unfinished")
    assert lines(run, 7200)[-2:] == [
        "dead since 2026-11-24 08:00:00 UTC, 2 h ago: its driver was killed or lost, "
        "or its budget ended it, which its version of Temper did not record",
        f"`temper resume {tmp_path}` goes on with it.",
    ]


def test_patience_grows_with_the_length_of_an_epoch(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "a", state=None)
    folder = Folder(str(tmp_path)).child("trials", "a", "checkpoint", "1")
    folder.write_json("state.json", {"history": [{"epoch": 1, "robust_accuracy": 0.1, "seconds": 100.0}]})
    os.utime(tmp_path / "trials" / "a" / "checkpoint" / "1" / "state.json", (BEGUN.timestamp(),) * 2)
    run = read_run(Folder(str(tmp_path)))
    assert look(run, 500).phase is Phase.RUNNING
    assert look(run, 501).phase is Phase.DEAD


def test_a_report_makes_no_search_finished(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    run.folder.write("report.html", b"")  # as `temper report` writes at any time
    assert look(run, 60).phase is Phase.RUNNING
    assert look(run, 10_000).phase is Phase.DEAD


def test_a_run_without_a_record_of_sessions_is_finished_once_all_that_was_planned_has_ended(tmp_path: Path) -> None:
    start(tmp_path, planned_recipes=2)
    add(tmp_path, "base", role="base", number=0, robust=0.2, flops=0.0)
    assert look(read_run(Folder(str(tmp_path))), 10_000).phase is Phase.DEAD
    add(tmp_path, "a", number=1, state="fail", reason="out of memory")
    run = read_run(Folder(str(tmp_path)))
    assert lines(run, 7200)[1:] == [f"finished 2 h ago; `temper report {tmp_path}` writes its report."]


def test_a_run_that_has_just_begun_is_running(tmp_path: Path) -> None:
    start(tmp_path)
    run = read_run(Folder(str(tmp_path)))
    assert lines(run, 9) == [f"{tmp_path}: 0 recipes ended (none yet), 0 running", "running; nothing written yet"]
    start(tmp_path, provenance={"started": BEGUN.isoformat()})
    run = read_run(Folder(str(tmp_path)))
    assert lines(run, 60)[-1] == "running; last written 60 s ago"
    assert look(run, 121).phase is Phase.DEAD


ENDS = [
    ("finished", "0.5 hours are over", ["finished 3 min ago: 0.5 hours are over; report {run}/report.html"]),
    ("interrupted", "Ctrl-C (SIGINT)", ["interrupted 3 min ago on host-b: Ctrl-C (SIGINT)", "{resume}"]),
    ("failed", "No space left on device", ["failed 3 min ago on host-b: No space left on device", "{resume}"]),
]


@pytest.mark.parametrize(("why", "reason", "expected"), ENDS)
def test_the_record_of_the_last_session_says_how_it_ended(
    tmp_path: Path, why: str, reason: str, expected: list[str]
) -> None:
    run = worked_example(tmp_path)
    run.folder.write("report.html", b"")
    drive(tmp_path, 1, began=-600, host="host-a", ended=-300, why="interrupted", reason="Ctrl-C (SIGINT)")
    drive(tmp_path, 2, began=0, host="host-b", ended=60, why=why, reason=reason)
    resume = f"`temper resume {tmp_path}` goes on with it."
    for told in (line.format(run=tmp_path, resume=resume) for line in expected):
        assert told in lines(run, 240)
    assert len(lines(run, 240)) == 3 + len(expected)


def test_a_session_without_an_end_runs_or_was_killed(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    drive(tmp_path, 1, began=-600, host="host-a", ended=-300, why="finished", reason="nothing was left to run")
    drive(tmp_path, 2, began=100, host="host-b")
    assert lines(run, 200)[-1] == "running on host-b; last written 100 s ago"  # that is, its own beginning
    assert lines(run, 221)[-2] == (
        "dead since 2026-11-24 08:01:40 UTC, 2 min ago: its driver on host-b was killed or lost"
    )


def beat(root: Path, term: int, after: float, **claim: str) -> None:
    """A lease that was last renewed so many seconds after the trials began."""
    place = Folder(str(root)).child("lease", str(term))
    place.write_json("claim.json", claim)
    for number in (1, 2):
        place.write(f"beat-{number}", b"")
        moment = BEGUN.timestamp() + after - 10 * (2 - number)
        os.utime(root / "lease" / str(term) / f"beat-{number}", (moment, moment))


def test_a_search_whose_first_epoch_is_long_lives_while_its_driver_renews_its_lease(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "a", state=None)
    drive(tmp_path, 1, began=0)
    beat(tmp_path, 1, 1000.0, purpose="search")
    run = read_run(Folder(str(tmp_path)))
    assert (look(run, 1005).phase, look(run, 1005).silent) == (Phase.RUNNING, 5.0)
    assert (look(run, 1121).phase, look(run, 1121).since) == (Phase.DEAD, BEGUN + timedelta(seconds=1000))


def test_a_confirmation_that_holds_the_run_makes_no_killed_search_alive(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    drive(tmp_path, 1, began=0)
    beat(tmp_path, 1, 100.0)  # as of versions whose claims name no purpose
    assert look(run, 200).phase is Phase.RUNNING
    beat(tmp_path, 2, 1000.0, purpose="confirm")
    assert look(run, 1000).phase is Phase.DEAD
