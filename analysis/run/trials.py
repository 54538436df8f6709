"""Reads a run directory back: what each trial was, how it ended and its curve."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run.format import check_format
from trainables.errors import InvalidInput
from trainables.execution.ending import Ending, State
from trainables.storage import Folder


@dataclass(frozen=True)
class Trial:
    """One recipe as the run directory tells it.

    Attributes:
        number: order of proposing; `order`: of finishing, None while unfinished.
        params: what the sampler chose; `distributions`: out of what, as its library writes it.
        asked: which ask of the sampler it answers, and how many trials had ended by then; None for fixed recipes.
        ending: how it ended; None while it has not.
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
    asked: dict[str, Any] | None
    recipe: dict[str, Any]
    ending: Ending | None
    order: int | None
    started: str | None
    ended: str | None
    seconds: float
    metrics: dict[str, float]
    history: tuple[dict[str, Any], ...]
    robust_correct: NDArray[np.bool_] | None

    @property
    def state(self) -> State:
        """RUNNING while it has not ended."""
        return State.RUNNING if self.ending is None else self.ending.state

    @property
    def reason(self) -> str | None:
        """Why it ended, for people; None where there is nothing to say."""
        return None if self.ending is None else self.ending.detail


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
        outcome = {}  # it has not ended, or the file is torn
    bits = outcome.get("robust_correct")
    correct = np.unpackbits(np.frombuffer(bytes.fromhex(bits), np.uint8))[: outcome["examples"]] if bits else None
    return Trial(
        id=record["id"],
        role=record["role"],
        name=record["name"],
        number=record["number"],
        params=record["params"],
        distributions=record["distributions"],
        asked=record.get("asked"),  # runs of before it was written have no such key
        recipe=record["recipe"],
        ending=_ending(outcome),
        order=outcome.get("order"),
        started=record["started"],
        ended=outcome.get("ended"),
        seconds=outcome.get("seconds", 0.0),
        metrics=outcome.get("metrics") or {},
        history=_history(folder.child("checkpoint")),
        robust_correct=None if correct is None else correct.astype(np.bool_),
    )


def _ending(outcome: Mapping[str, Any]) -> Ending | None:
    if not outcome:
        return None
    return Ending.of_record(outcome.get("kind"), outcome["state"], outcome.get("reason"))


def _history(folder: Folder) -> tuple[dict[str, Any], ...]:
    for epoch in sorted((int(name) for name in folder.names() if name.isdigit()), reverse=True):
        try:
            return tuple(folder.child(str(epoch)).read_json("state.json")["history"])
        except (OSError, ValueError, KeyError):
            continue  # torn: the checkpoint before it is whole
    return ()
