"""Reads the trials of a run directory back as proposals, epochs and outcomes, for a driver that resumes the search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.run.trials import Row, Run, Trial
from search.events import Asked, Outcome, Proposal
from trainables.checkpoints.checkpoint import read_newest
from trainables.collector import paused
from trainables.recipe.recipe import Recipe


@dataclass(frozen=True)
class RememberedTrial:
    """One trial, as the run directory remembers it.

    Attributes:
        proposal: its recipe, and why it runs.
        outcome: its result; None if it has not ended.
        order: its place in the order of ending, from 0; -1 if it has not ended.
        history: the rows of its epochs so far.
    """

    proposal: Proposal
    outcome: Outcome | None
    order: int
    history: Sequence[Row]


def remember(run: Run) -> list[RememberedTrial]:
    """Return the trials of a run in the order of proposing.

    A trial whose recipe.json is torn is left out: it counts as never begun, and is proposed anew.
    """
    bases = _Bases()
    with paused():
        return [_remembered(run, trial, bases) for trial in run.trials]


class _Bases:
    """The bases of recipes, each made once: nearly all recipes of a run start from the same few."""

    def __init__(self) -> None:
        self._made: list[tuple[Mapping[str, Any], Recipe]] = []

    def recipe(self, fields: Mapping[str, Any]) -> Recipe:
        """Make a recipe of its fields."""
        base = fields.get("base")
        return Recipe.model_validate(fields if base is None else {**fields, "base": self._base(base)})

    def _base(self, fields: Mapping[str, Any]) -> Recipe:
        for plain, recipe in self._made:
            if plain == fields:
                return recipe
        self._made.append((fields, self.recipe(fields)))
        return self._made[-1][1]


def _remembered(run: Run, trial: Trial, bases: _Bases) -> RememberedTrial:
    recipe = bases.recipe(trial.recipe)
    if trial.params:  # a sampler makes it once more from these, and compares
        recipe = recipe.known_as(trial.id)
    asked = None if trial.asked is None else Asked(**trial.asked)
    proposal = Proposal(recipe, _role(trial), trial.name, trial.number, trial.params, trial.distributions, asked)
    outcome, history = None, trial.history
    if trial.ending is None:  # it goes on from its newest whole checkpoint, so later epochs are forgotten
        newest = read_newest(run.folder.child("trials", trial.id, "checkpoint"))
        history = () if newest is None else tuple(newest.state["history"])
    else:
        correct = trial.robust_correct
        outcome = Outcome(
            trial.ending,
            trial.metrics or None,
            trial.seconds,
            None if correct is None else np.packbits(correct).tobytes().hex(),
            None if correct is None else len(correct),
        )
    return RememberedTrial(proposal, outcome, -1 if trial.order is None else trial.order, history)


def next_order(past: Sequence[RememberedTrial]) -> int:
    """Return the `order` of the next trial that ends."""
    return 1 + max((one.order for one in past), default=-1)


def _role(trial: Trial) -> Any:
    return trial.role
