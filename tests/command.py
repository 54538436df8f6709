"""Runs the command as a user does, on a digits study cut to a few seconds."""

import os
import subprocess
import sys
from pathlib import Path

SMALL = [
    "data.train_size=200",
    "data.validation_size=100",
    "pretraining.epochs=3",
    "budget.trials=4",
    "space.schedule.epochs.low=1",
    "space.schedule.epochs.high=2",
    "resources.max_concurrent=1",
    *(f"baselines.{number}.schedule.epochs=1" for number in range(4)),
    *(f"baselines.{number}.name=b{number}" for number in range(4)),
    # At one epoch each, two pairs of baselines would be the same recipe but for their rates.
    *(f"baselines.{number}.schedule.learning_rate={0.05 + number / 100}" for number in range(4)),
    "reference=b0",
]


def temper(
    *arguments: str, settings: list[str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    changes = [part for setting in settings or [] for part in ("--set", setting)]
    return subprocess.run(
        [sys.executable, "-m", "search", *arguments, *changes],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHONWARNINGS": "default"},
    )
