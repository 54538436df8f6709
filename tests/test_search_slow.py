"""Kills, browsers and interrupts: `make test-slow`."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import SMALL, temper

pytestmark = pytest.mark.slow


def test_ctrl_c_is_exit_130_and_says_what_is_kept(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "search", "search", "digits", "--storage", str(tmp_path), "--name", "cut"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("[ 1/"):
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "temper report" in errors
    assert temper("report", str(tmp_path / "cut")).returncode == 0


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_report_opens_offline_and_draws(tmp_path: Path) -> None:
    rates = [f"baselines.{number}.schedule.learning_rate={0.05 + number / 100}" for number in range(4)]
    done = temper("search", "digits", "--storage", str(tmp_path), "--name", "page", settings=SMALL + rates)
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
