"""Writes the run directory: what is true (study.yaml, run.json, trials/) and study.db, derived from it."""

import os
import platform
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import yaml

from analysis.trials import Run, State
from cluster.shipping import LOCK, checkout, commit
from search.events import Listener, Outcome, Proposal
from search.fingerprint import fingerprint
from search.lessons import Lesson
from search.loading import read_study
from search.outcomes import frozen_trial
from search.recipes import base_recipe, fixed_recipes, grid_cells, planned_recipes
from search.study import BASE, DIRECTIONS, Study
from trainables.errors import InvalidInput
from trainables.storage import Folder

PACKAGES = ("ray", "torch", "torchvision", "optuna", "torch-pruning", "numpy", "pandas", "scikit-learn")


def open_run(storage: str, name: str) -> Folder:
    """The folder of a new run, checked to be new and writable; nothing is left behind when it is refused.

    Raises:
        InvalidInput: a name that is no folder name, a run that exists, a storage that cannot be written.
    """
    folder = _run_folder(storage, name)
    try:
        if folder.exists():
            raise InvalidInput(f"{folder}: exists already; choose another --name, or remove it")
        folder.write("study.yaml", b"")
        folder.remove()
    except OSError as error:
        raise InvalidInput(
            f"{folder}: cannot be written ({error.strerror or error}); choose another --storage"
        ) from None
    return folder


def _run_folder(storage: str, name: str) -> Folder:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", name):
        raise InvalidInput(f"--name {name!r}: expected letters, digits, . _ - and no slash")
    return Folder(storage).child(name)


def begun_run(storage: str, name: str, study: Study) -> Folder | None:
    """The run of that name if a search of this study has begun it, None where none has.

    A driver that died before run.json was written leaves a folder without a trial: that is removed.

    Raises:
        InvalidInput: a name that is no folder name, or a run of another study.
    """
    folder = _run_folder(storage, name)
    if folder.exists("run.json"):
        if read_study(folder) != study:
            raise InvalidInput(f"{folder}: is a run of another study; choose another --name")
        return folder
    if set(folder.names()) <= {"study.yaml", "tensorboard"}:
        folder.remove()
    return None


@dataclass
class Record(Listener):
    """Writes what happens into a run's folder, in the order in which it happens."""

    folder: Folder
    endings: int = 0

    def begin(
        self, study: Study, *, command: str, data_fingerprint: str, device: str, learnt: Sequence[Lesson] = ()
    ) -> None:
        """Write study.yaml and run.json, once."""
        self.folder.write("study.yaml", yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False).encode())
        fixed, halving = fixed_recipes(study), study.halving
        self.folder.write_json(
            "run.json",
            {
                "format": 1,
                "study": study.name,
                "name": self.folder.parts[-1],
                "seed": study.seed,
                "objectives": [{"metric": name, "direction": DIRECTIONS[name]} for name in study.objectives],
                "threat_model": study.threat_model.model_dump(),
                "base": base_recipe(study).id,
                "reference": next(one.recipe.id for one in fixed if one.name == study.reference),
                "baselines": {one.recipe.id: one.name for one in fixed if one.role == "baseline"},
                "planned_recipes": planned_recipes(study),
                "constraints": [one.model_dump() | {"text": str(one)} for one in study.constraints],
                "grid": grid_record(study),
                "halving": None if halving is None else halving.model_dump() | {"ladders": halving.ladders},
                "parity_margin": study.parity_margin,
                "evaluation": study.protocol.model_dump(),
                "environment": environment(study.resources.cpu, device) | {"data": data_fingerprint},
                "warm_start": list(learnt),
                "fingerprint": fingerprint(study, data_fingerprint),
                "provenance": provenance(command),
            },
        )

    def proposed(self, proposal: Proposal) -> None:
        """Write trials/<id>/recipe.json, once."""
        self._trial(proposal).write_json(
            "recipe.json",
            {
                "id": proposal.recipe.id,
                "role": proposal.role,
                "name": proposal.name,
                "number": proposal.number,
                "started": _now(),
                "params": proposal.params,
                "distributions": proposal.distributions,
                "recipe": proposal.recipe.model_dump(mode="json"),
            },
        )

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        """Write trials/<id>/outcome.json, once."""
        self._trial(proposal).write_json(
            "outcome.json",
            {
                "id": proposal.recipe.id,
                "state": outcome.state.value,
                "reason": outcome.reason,
                "order": self.endings,
                "ended": _now(),
                "seconds": outcome.seconds,
                "node": outcome.node,
                "robust_correct": outcome.robust_correct,
                "examples": outcome.examples,
                "metrics": outcome.metrics,
            },
        )
        self.endings += 1

    def _trial(self, proposal: Proposal) -> Folder:
        return self.folder.child("trials", proposal.recipe.id)


def grid_record(study: Study) -> dict[str, Any] | None:
    """A grid as the analysis needs it: its arms, the recipe behind each cell, the recipes behind each base."""
    cells = grid_cells(study)
    if study.grid is None:
        return None
    bases: dict[str, list[str]] = {}
    for cell in cells:
        assert cell.recipe.base is not None
        bases.setdefault(cell.arm.base, []).append(cell.recipe.base.id)
    return {
        "arms": [
            {"name": arm.name, "base": arm.base, "ordinary": arm.base == BASE, "score": arm.score}
            for arm in study.grid.arms
        ],
        "bases": {name: list(dict.fromkeys(ids)) for name, ids in bases.items()},
        "cells": {
            cell.recipe.id: {
                "arm": cell.arm.name,
                "axis": cell.axis,
                "level": cell.level,
                "seed": cell.recipe.seed,
            }
            for cell in cells
        },
    }


def environment(threads: int, device: str) -> dict[str, Any]:
    """What decides whether a recipe gives bitwise the same numbers again."""
    return {
        "threads": threads,
        "device": device,
        "machine": platform.machine(),
        "processor": processor(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "torch-pruning": version("torch-pruning"),
    }


def provenance(command: str) -> dict[str, Any]:
    """Where a run came from. The git commit is that of the code, and None outside a checkout."""
    lock = checkout() / LOCK
    return {
        "command": command,
        "started": _now(),
        "git_commit": head[0] if (head := commit()) else None,
        "git_dirty": "dirty" in head,
        "lock_sha256": sha256(lock.read_bytes()).hexdigest() if lock.exists() else None,
        "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in PACKAGES},
        "hardware": {"machine": platform.platform(), "processor": processor(), "cpus": os.cpu_count()},
    }


def write_study_database(run: Run) -> None:
    """Rebuild study.db, the Optuna storage that optuna-dashboard opens: the proposals that ended."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    objectives = run.info["objectives"]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "study.db"
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        study = optuna.create_study(
            storage=storage,
            study_name=run.info["name"],
            directions=["maximize" if one["direction"] == "max" else "minimize" for one in objectives],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([one["metric"] for one in objectives])
        for trial in run.trials:
            if trial.role != "proposed" or trial.state is State.RUNNING:
                continue
            values = [trial.metrics[one["metric"]] for one in objectives] if trial.metrics else []
            frozen = frozen_trial(trial.params, trial.distributions, trial.state, values)
            frozen.datetime_start, frozen.datetime_complete = (
                _local(trial.started),
                _local(trial.ended or trial.started),
            )
            frozen.user_attrs = {"recipe": trial.id, "reason": trial.reason}
            study.add_trial(frozen)
        storage.engine.dispose()
        run.folder.write("study.db", path.read_bytes())


def default_name(study: Study) -> str:
    """Study name plus local time."""
    return f"{study.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _local(moment: str | None) -> datetime | None:
    """Optuna keeps local times without a zone."""
    return datetime.fromisoformat(moment).astimezone().replace(tzinfo=None) if moment else None


def processor() -> str:
    """The processor's name: Linux tells it in /proc, others through platform."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
