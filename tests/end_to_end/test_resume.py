"""A search whose driver is killed goes on from its run directory, and loses nothing: `make test-slow`."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import SMALL, temper

pytestmark = pytest.mark.slow

SETTINGS = [
    *SMALL,
    "budget.trials=6",
    "space.schedule.epochs.high=6",
    "halving={grace: 0.5, reduction_factor: 2}",
    "baselines.3.distillation={weight: 0.5}",
]
KILLS = int(os.environ.get("TEMPER_TEST_KILLS", "3"))  # in a row; twenty were tried, and take four minutes
TIMED = ("device_seconds", "energy_joules", "spent_flops")  # what a kill may change


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "search", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def start_search(place: Path) -> subprocess.Popen[bytes]:
    changes = [part for setting in SETTINGS for part in ("--set", setting)]
    return start("search", "digits", "--storage", str(place), "--name", "killed", *changes)


def outcomes(run: Path) -> dict[str, Any]:
    """Everything of each trial that ended but its timing."""
    found = {}
    for path in (run / "trials").glob("*/outcome.json"):
        outcome = json.loads(path.read_text())
        metrics = {name: value for name, value in (outcome["metrics"] or {}).items() if name not in TIMED}
        found[path.parent.name] = (outcome["state"], outcome["reason"], metrics)
    return found


def kill_after(process: subprocess.Popen[bytes], run: Path, count: int, wait: float) -> bool:
    """Kill -9 a driver some time after so many trials have ended; whether it was alive until then."""
    deadline = time.monotonic() + 120
    while len(list((run / "trials").glob("*/outcome.json"))) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(wait)
    alive = process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return alive


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whole")
    done = temper("search", "digits", "--storage", str(place), "--name", "whole", settings=SETTINGS)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "whole"


def resumed(run: Path) -> str:
    done = temper("resume", str(run))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_killed_search_goes_on_to_the_same_recipes_and_numbers(whole: Path, tmp_path: Path) -> None:
    assert kill_after(start_search(tmp_path), tmp_path / "killed", 7, 0.5)
    before = outcomes(tmp_path / "killed")
    output = resumed(tmp_path / "killed")
    assert f"{len(before)} recipes have ended before" in output
    assert outcomes(tmp_path / "killed") == outcomes(whole)
    run = json.loads((tmp_path / "killed" / "run.json").read_text())
    orders = [json.loads(path.read_text())["order"] for path in (tmp_path / "killed").glob("trials/*/outcome.json")]
    assert sorted(orders) == list(range(len(orders)))
    assert run["fingerprint"] == json.loads((whole / "run.json").read_text())["fingerprint"]


@pytest.mark.thorough
def test_a_finished_search_has_nothing_to_resume(whole: Path) -> None:
    before = outcomes(whole)
    assert "11 recipes have ended before, 0 continue" in resumed(whole)
    assert outcomes(whole) == before


def test_a_finished_search_goes_on_with_what_is_added_to_its_budget_also_after_a_kill(
    whole: Path, tmp_path: Path
) -> None:
    """Both ways from one run: an extension that runs to its end, and one that is killed, then resumed plainly.

    As the whole search, it proposes at random, so that what is proposed does not hang on which trial ends first.
    """
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    for copy in (unbroken, killed):
        shutil.copytree(whole, copy)
    before = outcomes(whole)
    done = temper("resume", str(unbroken), "--budget", "trials=+2")
    assert done.returncode == 0, done.stdout + done.stderr
    after = outcomes(unbroken)
    assert len(after) == len(before) + 2
    assert before.items() <= after.items()
    assert "13 of 13 recipes ended" in temper("status", str(unbroken)).stdout
    kill_after(start("resume", str(killed), "--budget", "trials=+2"), killed, len(before) + 1, 0.2)
    resumed(killed)
    assert outcomes(killed) == after
    study, fingerprint = (
        (whole / "study.yaml").read_bytes(),
        json.loads((whole / "run.json").read_text())["fingerprint"],
    )
    assert (killed / "study.yaml").read_bytes() == study
    assert json.loads((killed / "run.json").read_text())["fingerprint"] == fingerprint
    nothing = temper("resume", str(unbroken), "--budget", "hours=+1")
    assert nothing.returncode == 2
    assert "which the study does not limit" in nothing.stderr
    assert "trials are spent as well, 8 of 8; add trials, too" in nothing.stderr


def with_other_data(run: Path, place: Path) -> Path:
    """A copy of a run that began on other data than there is now."""
    copy = place / "copy"
    shutil.copytree(run, copy)
    info = json.loads((copy / "run.json").read_text())
    info["fingerprint"]["data"] = "other"
    (copy / "run.json").write_text(json.dumps(info))
    return copy


def test_a_change_is_refused_unless_forced(whole: Path, tmp_path: Path) -> None:
    copy = with_other_data(whole, tmp_path)
    refused = temper("resume", str(copy))
    assert refused.returncode == 2
    assert "changed since it began: data; --force goes on all the same" in refused.stderr


@pytest.mark.thorough
def test_a_change_is_gone_on_with_if_forced(whole: Path, tmp_path: Path) -> None:
    copy = with_other_data(whole, tmp_path)
    assert temper("resume", str(copy), "--force").returncode == 0


def test_no_run_is_refused(tmp_path: Path) -> None:
    refused = temper("resume", str(tmp_path))
    assert refused.returncode == 2
    assert "no readable run.json" in refused.stderr


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_kills_in_a_row_lose_nothing(whole: Path, tmp_path: Path) -> None:
    draw = random.Random(0)
    run = tmp_path / "killed"
    assert kill_after(start_search(tmp_path), run, 1, 0.0)
    for _ in range(KILLS):
        finished = len(outcomes(run))
        # While a driver starts or, as long as enough is left to do, after one more trial has ended.
        more = draw.randint(0, 1) if finished < len(outcomes(whole)) - 2 else 0
        assert kill_after(start("resume", str(run)), run, finished + more, draw.uniform(0.0, 1.0 if more else 6.0))
        assert outcomes(run).items() <= outcomes(whole).items()
    resumed(run)
    assert outcomes(run) == outcomes(whole)
