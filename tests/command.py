"""Runs the command as a user does, on a digits study cut to a few seconds."""

import os
import subprocess
import sys
from pathlib import Path

_PGD, _FAST = "{kind: pgd, epsilon: 0.2, steps: 3}", "{kind: n_fgsm, epsilon: 0.2}"
_SHORT = "{epochs: 1, learning_rate: 0.05}"
_PRUNED = "{method: channel_pruning, pruning_ratio: 0.5}"
SMALL = [
    "data.train_size=200",
    "data.validation_size=100",
    "pretraining.epochs=3",
    "budget.trials=4",
    "space.schedule.epochs.low=1",
    "space.schedule.epochs.high=2",
    "resources.max_concurrent=1",
    f"""baselines=[
        {{name: b0, perturbation: {_PGD}, schedule: {_SHORT}}},
        {{name: b1, perturbation: {_FAST}, schedule: {_SHORT}}},
        {{name: b2, compression: {_PRUNED}, perturbation: {_FAST}, schedule: {_SHORT}}},
        {{name: b3, base: b0, compression: {_PRUNED}, perturbation: {_FAST}, schedule: {_SHORT}}}
    ]""",
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
