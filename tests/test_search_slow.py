"""Kills, browsers and interrupts: `make test-slow`."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command import SMALL, temper

from search.loading import load
from search.recipes import fixed_recipes

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("later", [0.0, 0.7, 1.9])  # moments after the first result, s
def test_ctrl_c_is_exit_130_and_says_what_is_kept(tmp_path: Path, later: float) -> None:
    process = start_search(tmp_path, "cut", [])
    assert process.stdout is not None
    for line in process.stdout:
        if line.lstrip().startswith("1/"):
            break
    time.sleep(later)
    process.send_signal(signal.SIGINT)
    try:
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert "temper resume" in output
    assert not (tmp_path / "cut" / ".tune").exists()
    assert temper("report", str(tmp_path / "cut")).returncode == 0


SEVERAL_EPOCHS = [*SMALL, "baselines.0.schedule.epochs=12", "data.train_size=400"]


def start_search(storage: Path, name: str, settings: list[str]) -> subprocess.Popen[str]:
    changes = [part for setting in settings for part in ("--set", setting)]
    return subprocess.Popen(
        [sys.executable, "-m", "search", "search", "digits", "--storage", str(storage), "--name", name, *changes],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def trial_processes(driver: int) -> list[int]:
    """Processes of trials that a driver's Ray started: raylet is its child, the workers are raylet's."""
    parents: dict[int, int] = {}
    titles: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text()
            titles[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:
            continue  # it ended meanwhile
        parents[int(folder.name)] = int(status.rpartition(")")[2].split()[1])
    mine = [pid for pid, parent in parents.items() if parents.get(parent) == driver]
    return [pid for pid in mine if titles[pid].startswith("ray::") and "Trainable" in titles[pid]]


def kill_in_epoch(process: subprocess.Popen[str], run: Path, trial: str, epoch: int) -> None:
    """Kill -9 the process of a trial once its checkpoint of an epoch is there and the next epoch has begun."""
    deadline = time.monotonic() + 120
    while not (run / "trials" / trial / "attempts" / f"1-{epoch + 1}").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    (worker,) = trial_processes(process.pid)
    os.kill(worker, signal.SIGKILL)


def outcomes(run: Path) -> dict[str, dict[str, Any]]:
    return {path.parent.name: json.loads(path.read_text()) for path in (run / "trials").glob("*/outcome.json")}


def reference_of(settings: list[str]) -> str:
    study = load("digits", settings)
    return next(fixed.recipe.id for fixed in fixed_recipes(study) if fixed.name == study.reference)


def test_a_killed_worker_continues_from_its_checkpoint_to_the_same_numbers(tmp_path: Path) -> None:
    reference = reference_of(SEVERAL_EPOCHS)
    for name in ("whole", "killed"):
        process = start_search(tmp_path, name, SEVERAL_EPOCHS)
        if name == "killed":
            kill_in_epoch(process, tmp_path / name, reference, 4)
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
    whole, killed = outcomes(tmp_path / "whole"), outcomes(tmp_path / "killed")
    assert set(whole) == set(killed)
    for trial, outcome in whole.items():
        assert outcome["state"] == killed[trial]["state"] == "complete"
        before, after = outcome["metrics"], killed[trial]["metrics"]
        assert before["spent_flops"] == before["train_flops"]
        lost = after.pop("spent_flops") - before.pop("spent_flops")
        # The epoch that was running is lost; all epochs cost the same.
        expected = before["train_flops"] / before["epochs"] if trial == reference else 0
        assert lost == pytest.approx(expected, rel=1e-6)
        del before["device_seconds"], after["device_seconds"]
        assert before == after


def test_a_worker_lost_for_good_is_fail_and_the_search_goes_on(tmp_path: Path) -> None:
    settings = [*SEVERAL_EPOCHS, "budget.retries=0"]
    reference = reference_of(settings)
    process = start_search(tmp_path, "lost", settings)
    kill_in_epoch(process, tmp_path / "lost", reference, 3)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    found = outcomes(tmp_path / "lost")
    lost = found.pop(reference)
    assert lost["state"] == "fail"
    assert lost["metrics"] is None
    assert "FAIL: " + lost["reason"] in output
    orphans = [outcome["reason"] for outcome in found.values() if outcome["state"] != "complete"]
    assert orphans == ["what it starts from did not finish"]  # b3, whose base was lost
    assert "No verdict: the reference did not finish" in output


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_report_opens_offline_and_draws(tmp_path: Path) -> None:
    done = temper("search", "digits", "--storage", str(tmp_path), "--name", "page", settings=SMALL)
    assert done.returncode == 0, done.stderr
    page = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            f"file://{tmp_path / 'page' / 'report.html'}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert len(re.findall(r'<path class="point', page)) >= 8
