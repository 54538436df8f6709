"""What `temper status` says of a search that was killed, and the hours of which the next session knows."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analysis.run.status import Phase, status_of
from analysis.run.trials import read_run
from tests.support.command import SMALL, start_search, temper
from tests.support.faults import outcomes, until
from trainables.storage import Folder


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
