"""`temper doctor` as a user runs it, on this machine alone."""

import json
import re
from pathlib import Path

import pytest

from tests.support.command import SMALL, temper


@pytest.mark.slow
@pytest.mark.alone
def test_doctor_examines_this_machine_times_the_study_and_estimates(tmp_path: Path) -> None:
    done = temper("doctor", "digits", "--price", "2", settings=SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Sound: nothing to fix." in done.stdout
    assert "token      asked for\n" in done.stdout
    assert "\n9 trials, " in done.stdout  # base, 4 baselines, 4 proposals
    hours, cost = (re.search(pattern, done.stdout) for pattern in (r"([\d.e-]+) CPU-hours", r"cost ([\d.e-]+),"))
    assert hours is not None
    assert cost is not None
    assert float(cost[1]) == pytest.approx(2 * float(hours[1]), rel=0.01)
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.alone
def test_doctor_without_a_study_times_nothing(tmp_path: Path) -> None:
    done = temper("doctor", "--storage", str(tmp_path / "runs"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trials" not in done.stdout
    spoiled = temper("doctor", "--storage", "/proc/nowhere", "--json")
    assert spoiled.returncode == 2
    found = json.loads(spoiled.stdout)
    assert not found["sound"]
    assert "cannot write there" in found["findings"][0]["problem"]
    assert found["nodes"][0]["slots_cpus"] >= 1
    assert found["estimate"] is None
    assert "cannot write there" in spoiled.stderr
    assert "fix: " in spoiled.stderr
    assert "Traceback" not in spoiled.stderr


def test_a_study_that_does_not_exist_is_refused_before_ray_starts() -> None:
    refused = temper("doctor", "nosuch")
    assert refused.returncode == 2
    assert "no such study" in refused.stderr
