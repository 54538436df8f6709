"""Reads a run directory back: run.json, and of each trial its recipe, how it ended, and its learning curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from analysis.run.format import read_info
from analysis.run.impossible import impossible
from analysis.run.losses import last_loss
from trainables.collector import paused
from trainables.execution.ending import Ending, State
from trainables.storage import Folder, for_each

Estimates = Mapping[str, Mapping[str, float]]  # of final numbers, by name, for each recipe by its id
ESTIMATES = "estimates.json"
IMPORTANCES = "importance.json"
CONFIRM = "confirm"  # the role of trials that retrain recipes with fresh seeds
Row = dict[str, Any]  # one epoch of a learning curve


class Curve(Sequence[Row]):
    """The learning curve of a trial, read from its folder when it is first asked for.

    A report of 50,000 trials draws 300 of their curves; to read all of them takes as long as to read all the rest.
    """

    def __init__(self, trials: Folder, name: str) -> None:
        """Take the folder of all trials, and the name of one in it, without looking into it."""
        self._trials, self._name = trials, name

    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        return _history(self._trials.child(self._name, "checkpoint"))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        return self._rows[place]


@dataclass(frozen=True)
class Trial:
    """One trial, as the run directory records it.

    Attributes:
        id: id of the recipe.
        role: why the recipe runs: base, baseline, grid, proposed or confirm.
        name: name of a fixed recipe; None for a proposal.
        number: place in the order of proposing, from 0.
        params: parameters that the sampler chose, by name; empty for fixed recipes.
        distributions: what they were chosen from, as Optuna's JSON.
        asked: which ask of the sampler it answers, and how many trials had ended by then; None for fixed recipes.
        recipe: the recipe as plain data.
        ending: how the trial ended; None if it has not.
        order: place in the order of ending, from 0; None if it has not ended.
        started: when it was proposed, ISO 8601.
        ended: when it ended, ISO 8601; None if it has not.
        seconds: seconds for which it kept its slot busy; 0 if it has not ended.
        metrics: final numbers; empty unless it is complete.
        history: one row for each epoch; a `Curve` where it is read once it is asked for.
        robust_correct: `(examples,)`, whether each validation image is classified correctly under attack; None if
            that was not recorded.
        lost: why a search left it unfinished, in words; None where it ended, or where no search did.
        estimate: what the search's model, which knows the other trials too, makes of its final numbers: robust_accuracy
            and robust_accuracy_stderr, the standard error of that estimate; empty where the search has no model.
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
    history: Sequence[Row]
    robust_correct: NDArray[np.bool_] | None
    lost: str | None = None
    estimate: Mapping[str, float] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """How the trial stands: COMPLETE, PRUNED, FAIL, or RUNNING if it has not ended."""
        return State.RUNNING if self.ending is None else self.ending.state

    @property
    def reason(self) -> str | None:
        """Why it ended or was left unfinished, in words; None only where it is complete, runs or was interrupted."""
        return self.lost if self.ending is None else self.ending.reason

    @property
    def stands(self) -> str:
        """The state in a word, for people to read: that of a trial that a search left behind is `unfinished`."""
        return self.state.value if self.lost is None else "unfinished"


@dataclass(frozen=True)
class Run:
    """A run directory that was read.

    Attributes:
        folder: the directory.
        info: content of run.json.
        trials: its trials, in the order of proposing.
        unreadable: names of trial folders whose recipe.json is torn.
        left_out: a line for each trial that is left out since its record has a value that no search writes.
        confirmations: trials of role confirm, which retrain recipes with fresh seeds; nothing that a search does or
            shows is about them.
        not_estimated: why the search's model could not be asked for estimates; empty where it was asked, or is none.
        found: what was computed of this run and is asked for several times, such as its frontier, by name.
    """

    folder: Folder
    info: dict[str, Any]
    trials: tuple[Trial, ...]
    unreadable: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    confirmations: tuple[Trial, ...] = ()
    not_estimated: str = ""
    found: dict[str, Any] = field(init=False, default_factory=dict, compare=False, repr=False)

    def finished(self, trial_id: str) -> Trial | None:
        """Return the complete trial of this id; None if there is none."""
        found = (trial for trial in self.trials if trial.id == trial_id and trial.state is State.COMPLETE)
        return next(found, None)

    def estimated(self, estimates: Estimates) -> "Run":
        """Return the run with the estimates of its trials: with all of its finished proposals', or with none.

        Estimates of some alone are of an earlier state of the search, and would be compared with scores of the others.
        """
        finished = {trial.id for trial in self.trials if trial.role == "proposed" and trial.state is State.COMPLETE}
        known = estimates if finished <= set(estimates) else {}
        if not known and not any(trial.estimate for trial in self.trials):
            return self
        return replace(
            self, trials=tuple(replace(trial, estimate=dict(known.get(trial.id, {}))) for trial in self.trials)
        )

    @property
    def everything(self) -> tuple[Trial, ...]:
        """Trials of the search and of its confirmations."""
        return (*self.trials, *self.confirmations)

    @cached_property
    def reference(self) -> Trial | None:
        """The reference, the baseline that ratios are held against; None if it did not finish."""
        return self.finished(self.info["reference"])

    @cached_property
    def base(self) -> Trial | None:
        """The ordinary base; None if it did not finish."""
        return self.finished(self.info["base"])


def read_run(folder: Folder, earlier: Run | None = None, *, curves: bool = True) -> Run:
    """Read a run directory, with all of its trials.

    Args:
        folder: the directory.
        earlier: the same run as it was read before, with or without `curves` as now; trials that had ended by then are
            not read again.
        curves: read the learning curves of complete trials too, which takes two fifths of the time; without them their
            `history` is empty. To say how a run stands, their final numbers are enough.

    Raises:
        InvalidInput: the folder holds no run, or one of a format that this version cannot read.
    """
    info, names = read_info(folder), folder.child("trials").names()
    ended = {one.id: one for one in earlier.everything if one.ending is not None} if earlier is not None else {}

    def read(name: str) -> Trial | _Impossible | None:
        return ended[name] if name in ended else _read_or_excuse(folder.child("trials", name), curves)

    with paused():
        found = for_each(folder, read, names)
    trials = sorted((one for one in found if isinstance(one, Trial)), key=lambda trial: trial.number)
    left_out = [
        f"trials/{name}: left out, it has {one}"
        for name, one in zip(names, found, strict=True)
        if isinstance(one, _Impossible)
    ]
    unreadable = [name for name, one in zip(names, found, strict=True) if one is None]
    searched, confirmations = ([one for one in trials if (one.role == CONFIRM) == wanted] for wanted in (False, True))
    run = Run(folder, info, tuple(searched), tuple(unreadable), tuple(left_out), tuple(confirmations))
    return run.estimated(_estimates(folder))


def _estimates(folder: Folder) -> Estimates:
    """Return the estimates that the search has written, if any; the file is derived, so a torn one counts as none."""
    try:
        return {str(key): dict(estimate) for key, estimate in folder.read_json(ESTIMATES).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


class _Impossible(Exception):
    """Raised for a trial whose record has a value that no search writes."""


def _read_or_excuse(folder: Folder, curves: bool) -> Trial | _Impossible | None:
    """Return a trial, or what is impossible in its record; None where its recipe.json is torn, as by a kill."""
    try:
        return _read_trial(folder, curves)
    except _Impossible as problem:
        return problem
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_trial(folder: Folder, curves: bool) -> Trial:
    record = folder.read_json("recipe.json")
    if record["id"] != folder.parts[-1]:
        raise ValueError(f"{folder}: holds recipe {record['id']}")
    try:
        outcome = folder.read_json("outcome.json")
    except (OSError, ValueError):
        outcome = {}  # it has not ended, or the file is torn
    if (problem := impossible(record, outcome)) is not None:
        raise _Impossible(problem)
    bits = outcome.get("robust_correct")
    correct = np.unpackbits(np.frombuffer(bytes.fromhex(bits), np.uint8))[: outcome["examples"]] if bits else None
    return Trial(
        id=record["id"],
        role=record["role"],
        name=record["name"],
        number=record["number"],
        params=record["params"],
        distributions=record["distributions"],
        asked=record.get("asked"),  # older runs have no such key
        recipe=record["recipe"],
        ending=_ending(outcome),
        order=outcome.get("order"),
        started=record["started"],
        ended=outcome.get("ended"),
        seconds=outcome.get("seconds", 0.0),
        metrics=outcome.get("metrics") or {},
        history=_history(folder.child("checkpoint")) if curves or not outcome.get("metrics") else (),
        robust_correct=None if correct is None else correct.astype(np.bool_),
        lost=None if outcome else last_loss(folder),
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
            continue  # torn, so the checkpoint before it is read
    return ()
