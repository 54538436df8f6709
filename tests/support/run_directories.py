"""Builds small run directories for the tests of `analysis`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from analysis.run.trials import Run, read_run
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder

BEGUN = datetime(2026, 11, 24, 8, tzinfo=UTC)  # of every trial in these directories
INFO: dict[str, Any] = {
    "format": 1,
    "study": "digits",
    "name": "digits-1",
    "seed": 0,
    "objectives": [
        {"metric": "robust_accuracy", "direction": "max"},
        {"metric": "train_flops", "direction": "min"},
    ],
    "threat_model": {"norm": "linf", "epsilon": 0.2},
    "base": "base",
    "reference": "pgd",
    "baselines": {"pgd": "pgd_at_20", "fast": "n_fgsm_at_5"},
    "parity_margin": 0.01,
    "evaluation": {"steps": 10},
    "environment": {"threads": 1, "device": "cpu"},
    "provenance": {"command": "temper search digits", "git_commit": "abc"},
}


def recipe(epochs: int = 6, pruning_ratio: float | None = None, scratch: bool = False) -> dict[str, Any]:
    """A recipe as a run directory holds it: every default written out."""
    ordinary = {
        "data": {"name": "digits", "validation_size": 100},
        "model": {"name": "small"},
        "schedule": {"epochs": 5, "learning_rate": 0.1},
    }
    tuned: dict[str, Any] = {
        **ordinary,
        "base": None if scratch else ordinary,
        "perturbation": {"kind": "n_fgsm", "epsilon": 0.2},
        "schedule": {"epochs": epochs, "learning_rate": 0.1},
    }
    if pruning_ratio is not None:
        tuned["compression"] = {"method": "channel_pruning", "pruning_ratio": pruning_ratio}
    return Recipe.model_validate(tuned).model_dump(mode="json")


def propose(folder: Folder, record: dict[str, Any]) -> None:
    """A trial's recipe.json."""
    folder.write_json(
        "recipe.json", {"params": {}, "distributions": {}, "started": BEGUN.isoformat(timespec="milliseconds")} | record
    )


def add(
    root: Path,
    id: str,
    *,
    role: str = "proposed",
    name: str | None = None,
    number: int = 0,
    order: int | None = None,
    state: str | None = "complete",
    robust: float | None = None,
    flops: float = 1e9,
    end_to_end: float | None = None,
    correct: list[bool] | None = None,
    reason: str | None = None,
    epochs: int = 6,
    scores: Sequence[float | None] = (),
    metrics: Mapping[str, float] = MappingProxyType({}),
    params: Mapping[str, Any] = MappingProxyType({}),
    distributions: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """One trial; `state` None leaves it without an outcome, `scores` are its robust accuracies by epoch.

    `metrics` are final numbers beside those that every trial has here, or in place of them; `params` are what a sampler
    chose, out of `distributions`.
    """
    folder = Folder(str(root)).child("trials", id)
    made = recipe(epochs, scratch=role == "baseline", pruning_ratio=0.5 if role == "proposed" else None)
    if scores:
        rows = [{"epoch": epoch, "robust_accuracy": score} for epoch, score in enumerate(scores, 1)]
        folder.child("checkpoint", str(len(rows))).write_json("state.json", {"history": rows})
    propose(
        folder,
        {
            "id": id,
            "role": role,
            "name": name,
            "number": number,
            "recipe": made,
            "params": dict(params),
            "distributions": dict(distributions),
        },
    )
    if state is None:
        return
    final = {
        "robust_accuracy": robust,
        "robust_accuracy_stderr": 0.02,
        "clean_accuracy": 0.9,
        "train_flops": flops,
        "end_to_end_flops": flops if end_to_end is None else end_to_end,
        "inference_macs": 1e6,
        **metrics,
    }
    folder.write_json(
        "outcome.json",
        {
            "id": id,
            "state": state,
            "reason": reason,
            "order": order if order is not None else number,
            "seconds": 1.0,
            "robust_correct": None if correct is None else np.packbits(np.array(correct)).tobytes().hex(),
            "examples": None if correct is None else len(correct),
            "metrics": final if state == "complete" else None,
        },
    )


def start(root: Path, **info: Any) -> None:
    """A run directory without trials."""
    Folder(str(root)).write_json("run.json", INFO | info)


def drive(
    root: Path,
    number: int,
    *,
    began: float,
    host: str = "host",
    before: float = 0.0,
    ended: float | None = None,
    why: str = "finished",
    reason: str = "nothing was left to run",
) -> None:
    """A driver's session; moments are in seconds after BEGUN, `before` in hours; one without an end was killed."""
    folder = Folder(str(root)).child("sessions", str(number))
    moment = (BEGUN + timedelta(seconds=began)).isoformat()
    folder.write_json("began.json", {"when": moment, "host": host, "pid": 1, "hours_before": before})
    if ended is not None:
        moment, hours = (BEGUN + timedelta(seconds=ended)).isoformat(), (ended - began) / 3600
        folder.write_json("ended.json", {"why": why, "reason": reason, "when": moment, "hours": hours})


def worked_example(root: Path) -> Run:
    """A base, two baselines and four proposals (one pruned, one unfinished), worked out by hand in the tests."""
    start(root)
    add(root, "base", role="base", number=0, robust=0.2, flops=0.0, end_to_end=1e8)
    add(root, "pgd", role="baseline", name="pgd_at_20", number=1, robust=0.8, flops=1e10)
    add(root, "fast", role="baseline", name="n_fgsm_at_5", number=2, robust=0.5, flops=1e9)
    add(root, "a", number=3, robust=0.6, flops=4e8, end_to_end=5e8)
    add(root, "b", number=4, robust=0.78, flops=2e9, end_to_end=2.1e9)
    add(root, "c", number=5, state="pruned", reason="dominated at rung 2")
    add(root, "d", number=6, state=None)
    return read_run(Folder(str(root)))
