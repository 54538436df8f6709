"""Rebuilds Optuna's trials from the record, and keeps them in a storage that shows a sampler only part of a history."""

from collections.abc import Container, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from analysis.pareto.dominance import non_dominated, to_costs
from trainables.execution.ending import State

NEWEST = 1_000  # trials that ended last, all of which a sampler is shown


class BoundedStorage(InMemoryStorage):
    """In-memory storage that shows a sampler the trials that matter, so that proposals stay fast in a long search.

    It shows the running trials, the newest that ended, and of the older ones those that no other older one dominates.
    A sampler that goes through every trial for each proposal, as TPE does, then takes as long at ten thousand trials as
    at a thousand. What is shown depends only on what was told, in its order. Any trial can still be read by its id.
    """

    def __init__(self, directions: Sequence[str], newest: int = NEWEST) -> None:
        """Create an empty storage.

        Args:
            directions: "min" or "max" for each objective of the one study in it.
            newest: number of trials that ended last, all of which are shown.
        """
        super().__init__()
        self._directions, self._newest = tuple(directions), newest
        self._live: set[int] = set()
        self._ended: list[int] = []  # the newest that ended, in their order; at most `newest`
        self._leading: list[int] = []  # the non-dominated of those that ended before them

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial as Optuna does. A template may be a trial that has ended."""
        trial_id = super().create_new_trial(study_id, template_trial)
        if template_trial is not None and template_trial.state.is_finished():
            self._note(trial_id)
        else:
            self._live.add(trial_id)
        return trial_id

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Set a trial's state and values as Optuna does, and note it if it has ended."""
        done = super().set_trial_state_values(trial_id, state, values)
        if state.is_finished():
            self._live.remove(trial_id)
            self._note(trial_id)
        return done

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials that are shown, in the order of their numbers."""
        if len(self._ended) < self._newest or states == (TrialState.WAITING,):
            return super().get_all_trials(study_id, deepcopy, states)
        shown = [self.get_trial(trial_id) for trial_id in sorted({*self._live, *self._ended, *self._leading})]
        return [trial for trial in shown if states is None or trial.state in states]

    def _note(self, trial_id: int) -> None:
        """Note that a trial has ended; the oldest of the newest then moves to the older ones, if they are too many."""
        self._ended.append(trial_id)
        if len(self._ended) <= self._newest:
            return
        oldest = self.get_trial(self._ended.pop(0))
        if oldest.state is TrialState.COMPLETE and all(violation <= 0 for violation in oldest.constraints.values()):
            ids = [*self._leading, oldest._trial_id]
            values = np.array([self.get_trial(one).values for one in ids])
            kept = non_dominated(to_costs(values, self._directions))
            self._leading = [one for one, keep in zip(ids, kept, strict=True) if keep]


class EndedTrials(InMemoryStorage):
    """In-memory storage of one study whose trials have all ended, for what only reads them.

    `Study.add_trial` copies each trial deeply: more than half of the time of all that is then done with 10,000.
    """

    def __init__(self, directions: Sequence[StudyDirection], trials: Sequence[FrozenTrial]) -> None:
        """Keep trials as they are, and number them in their order.

        Args:
            directions: of each objective of the study, which is named "".
            trials: trials that have ended, each with a value for each objective if it is complete.
        """
        super().__init__()
        self.create_new_study(directions, "")
        self._ended = list(trials)
        for number, trial in enumerate(self._ended):
            trial.number = trial._trial_id = number

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials, or those in some states; they are never copied."""
        return [trial for trial in self._ended if states is None or trial.state in states]


@lru_cache(maxsize=1024)  # the trials of a study were chosen from a handful of ranges
def _decoded(text: str) -> BaseDistribution:
    return optuna.distributions.json_to_distribution(text)


def frozen_trial(params: Mapping[str, Any], distributions: Mapping[str, str], state: State, values: list[float]) -> Any:
    """Return an Optuna trial that has ended, made from the record.

    Args:
        params: the chosen parameters, by name.
        distributions: what they were chosen from, as Optuna's JSON.
        state: how it ended.
        values: its objectives, in the study's order; ignored unless it is COMPLETE.
    """
    return optuna.trial.create_trial(
        params=dict(params),
        distributions={name: _decoded(text) for name, text in distributions.items()},
        state=TrialState[state.name],
        values=values if state is State.COMPLETE else None,
    )
