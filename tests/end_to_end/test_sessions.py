"""What `temper status` says of a search that was killed, and the hours of which the next session knows."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analysis.run.trials import read_run
from analysis.status.status import Phase, status_of
from tests.support.command import SMALL, start_search, temper
from tests.support.faults import outcomes, until
from trainables.storage import Folder


@pytest.mark.slow
def test_a_search_is_asked_to_stop_from_elsewhere_ends_with_a_verdict_and_goes_on_later(tmp_path: Path) -> None:
    run, folder = tmp_path / "asked", Folder(str(tmp_path / "asked"))
    process = start_search(tmp_path, "asked", [*SMALL, "budget.trials=500"])
    until(
        lambda: (run / "run.json").exists() and any(one.role == "proposed" for one in read_run(folder).trials),
        lambda: process.poll() is None,
    )
    stopped = temper("stop", str(run), "--wait")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    first, verdict = stopped.stdout.splitlines()
    assert first.endswith("is asked to stop: what runs is finished, nothing more is proposed")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert verdict in output
    assert "no more proposals: asked to stop by " in output
    proposed = [one for one in read_run(folder).trials if one.role == "proposed"]
    assert 1 <= len(proposed) < 100
    assert all(one.ending is not None for one in proposed)
    assert "asked to stop by" in temper("status", str(run)).stdout.splitlines()[-1]
    again = temper("stop", str(run))
    assert again.returncode == 2
    assert "no search works on it" in again.stderr


@pytest.mark.thorough
@pytest.mark.slow
def test_a_killed_search_is_dead_and_goes_on_with_the_hours_that_it_has_left(tmp_path: Path) -> None:
    run, folder = tmp_path / "killed", Folder(str(tmp_path / "killed"))
    process = start_search(tmp_path, "killed", [*SMALL, "budget.hours=5"])
    until(lambda: (run / "run.json").exists() and outcomes(run), lambda: process.poll() is None)
    assert status_of(read_run(folder)).phase is Phase.RUNNING
    process.kill()
    process.communicate()
    assert not (run / "sessions" / "1" / "ended.json").exists()
    assert status_of(read_run(folder), datetime.now(UTC) + timedelta(minutes=10)).phase is Phase.DEAD

    began = json.loads((run / "sessions" / "1" / "began.json").read_text())
    long_ago = datetime.fromisoformat(began["when"]) - timedelta(hours=5)  # as if it had worked for five hours
    folder.child("sessions", "1").write_json("began.json", began | {"when": long_ago.isoformat()})
    resumed = temper("resume", str(run))
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert sum(trial.role == "proposed" for trial in read_run(folder).trials) == 0
    told = temper("status", str(run)).stdout.splitlines()[-1]
    assert told.startswith("finished ")
    assert f"5 hours are over; report {run}/report.html" in told
    second = json.loads((run / "sessions" / "2" / "began.json").read_text())
    assert 5 <= second["hours_before"] < 5.1
    assert second["command"].endswith(f"resume {run}")
