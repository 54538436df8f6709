"""Optuna's trials: rebuilt from the record, and kept in a storage that spares a sampler most of a long history."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from analysis.pareto.dominance import non_dominated, to_costs
from trainables.execution.ending import State

NEWEST = 1_000


class BoundedStorage(InMemoryStorage):
    """Shows what runs, the newest that ended, and of the older ones those that no older one dominates.

    A sampler that goes through every trial for each proposal, as TPE does, takes as long at ten thousand as at a
    thousand. What is shown is a function of what was told, in its order; a trial itself can always be read.
    """

    def __init__(self, directions: Sequence[str], newest: int = NEWEST) -> None:
        """Args:
        directions: of the one study in it, "min" or "max" for each objective.
        newest: trials that ended last, all of which are shown.
        """
        super().__init__()
        self._directions, self._newest = tuple(directions), newest
        self._live: set[int] = set()
        self._ended: list[int] = []  # in their order; at most `newest`
        self._leading: list[int] = []  # of those that ended before

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """As Optuna's own; a template may have ended."""
        trial_id = super().create_new_trial(study_id, template_trial)
        if template_trial is not None and template_trial.state.is_finished():
            self._note(trial_id)
        else:
            self._live.add(trial_id)
        return trial_id

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As Optuna's own."""
        done = super().set_trial_state_values(trial_id, state, values)
        if state.is_finished():
            self._live.remove(trial_id)
            self._note(trial_id)
        return done

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Those that are shown, in order of their numbers."""
        if len(self._ended) < self._newest or states == (TrialState.WAITING,):
            return super().get_all_trials(study_id, deepcopy, states)
        shown = [self.get_trial(trial_id) for trial_id in sorted({*self._live, *self._ended, *self._leading})]
        return [trial for trial in shown if states is None or trial.state in states]

    def _note(self, trial_id: int) -> None:
        """A trial has ended, and so another may no longer be one of the newest."""
        self._ended.append(trial_id)
        if len(self._ended) <= self._newest:
            return
        oldest = self.get_trial(self._ended.pop(0))
        if oldest.state is TrialState.COMPLETE and all(violation <= 0 for violation in oldest.constraints.values()):
            ids = [*self._leading, oldest._trial_id]
            values = np.array([self.get_trial(one).values for one in ids])
            kept = non_dominated(to_costs(values, self._directions))
            self._leading = [one for one, keep in zip(ids, kept, strict=True) if keep]


def frozen_trial(params: Mapping[str, Any], distributions: Mapping[str, str], state: State, values: list[float]) -> Any:
    """An Optuna trial out of the record, to rebuild its storage."""
    decoded: dict[str, BaseDistribution] = {
        name: optuna.distributions.json_to_distribution(text) for name, text in distributions.items()
    }
    return optuna.trial.create_trial(
        params=dict(params),
        distributions=decoded,
        state=TrialState[state.name],
        values=values if state is State.COMPLETE else None,
    )
