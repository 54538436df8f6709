"""Reads a run directory back: what each trial was, how it ended and its curve."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run.format import check_format
from trainables.errors import InvalidInput
from trainables.storage import Folder


class State(StrEnum):
    """How a trial ended; RUNNING has no outcome yet."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAIL = "fail"
    RUNNING = "running"


@dataclass(frozen=True)
class Trial:
    """One recipe as the run directory tells it.

    Attributes:
        number: order of proposing; `order`: of finishing, None while unfinished.
        params: what the sampler chose; `distributions`: out of what, as its library writes it.
        started: when it was proposed, ISO 8601; `ended`: None while unfinished.
        metrics: final numbers, empty unless complete.
        history: one row per epoch.
        robust_correct: (examples,) whether each validation image is right under attack.
    """

    id: str
    role: str
    name: str | None
    number: int
    params: dict[str, Any]
    distributions: dict[str, str]
    recipe: dict[str, Any]
    state: State
    reason: str | None
    order: int | None
    started: str | None
    ended: str | None
    seconds: float
    metrics: dict[str, float]
    history: tuple[dict[str, Any], ...]
    robust_correct: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Run:
    """A run directory: run.json and its trials in order of proposing; `unreadable` names torn trial folders."""

    folder: Folder
    info: dict[str, Any]
    trials: tuple[Trial, ...]
    unreadable: tuple[str, ...]

    def finished(self, trial_id: str) -> Trial | None:
        """The complete trial of this id, if there is one."""
        found = (trial for trial in self.trials if trial.id == trial_id and trial.state is State.COMPLETE)
        return next(found, None)

    @property
    def reference(self) -> Trial | None:
        """The baseline that ratios are held against, if it finished."""
        return self.finished(self.info["reference"])

    @property
    def base(self) -> Trial | None:
        """The ordinary base, if it finished."""
        return self.finished(self.info["base"])


def read_info(folder: Folder) -> dict[str, Any]:
    """The run.json of a run. Raises InvalidInput if the folder holds none, or one of a format that is not known."""
    try:
        info = dict(folder.read_json("run.json"))
    except (OSError, ValueError, TypeError) as error:
        raise InvalidInput(f"{folder}: no readable run.json in it, expected the directory of a run") from error
    check_format(info, f"{folder}/run.json")
    return info


def read_run(folder: Folder) -> Run:
    """Read a run. Raises InvalidInput if the folder holds none, or one of a format that is not known."""
    info = read_info(folder)
    trials, unreadable = [], []
    for name in folder.child("trials").names():
        try:
            trials.append(_read_trial(folder.child("trials", name)))
        except (OSError, ValueError, KeyError, TypeError):
            unreadable.append(name)  # torn: killed while it was proposed
    return Run(folder, info, tuple(sorted(trials, key=lambda trial: trial.number)), tuple(unreadable))


def _read_trial(folder: Folder) -> Trial:
    record = folder.read_json("recipe.json")
    if record["id"] != folder.parts[-1]:
        raise ValueError(f"{folder}: holds recipe {record['id']}")
    try:
        outcome = folder.read_json("outcome.json")
    except (OSError, ValueError):
        outcome = {"state": "running"}
    bits = outcome.get("robust_correct")
    correct = np.unpackbits(np.frombuffer(bytes.fromhex(bits), np.uint8))[: outcome["examples"]] if bits else None
    return Trial(
        id=record["id"],
        role=record["role"],
        name=record["name"],
        number=record["number"],
        params=record["params"],
        distributions=record["distributions"],
        recipe=record["recipe"],
        state=State(outcome["state"]),
        reason=outcome.get("reason"),
        order=outcome.get("order"),
        started=record["started"],
        ended=outcome.get("ended"),
        seconds=outcome.get("seconds", 0.0),
        metrics=outcome.get("metrics") or {},
        history=_history(folder.child("checkpoint")),
        robust_correct=None if correct is None else correct.astype(np.bool_),
    )


def _history(folder: Folder) -> tuple[dict[str, Any], ...]:
    for epoch in sorted((int(name) for name in folder.names() if name.isdigit()), reverse=True):
        try:
            return tuple(folder.child(str(epoch)).read_json("state.json")["history"])
        except (OSError, ValueError, KeyError):
            continue  # torn: the checkpoint before it is whole
    return ()
