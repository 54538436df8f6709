"""Reads the trials of a run directory back as proposals, epochs and outcomes, for a driver that resumes the search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.run.trials import Run, Trial
from search.events import Asked, Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from trainables.checkpoints.checkpoint import read_newest
from trainables.checkpoints.recovery import recover
from trainables.checkpoints.trained_model import TrainedModel
from trainables.data.splits import Splits
from trainables.execution.ending import State
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
    history: tuple[dict[str, Any], ...]


def remember(run: Run) -> list[RememberedTrial]:
    """Return the trials of a run in the order of proposing.

    A trial whose recipe.json is torn is left out: it counts as never begun, and is proposed anew.
    """
    return [_remembered(run, trial) for trial in run.trials]


def _remembered(run: Run, trial: Trial) -> RememberedTrial:
    recipe = Recipe.model_validate(trial.recipe)
    asked = None if trial.asked is None else Asked(**trial.asked)
    proposal = Proposal(recipe, _role(trial), trial.name, trial.number, trial.params, trial.distributions, asked)
    outcome, history = None, trial.history
    if trial.ending is None:  # it goes on from its newest whole checkpoint, so later epochs are forgotten
        newest = read_newest(run.folder.child("trials", trial.id, "checkpoint"))
        history = () if newest is None else tuple(newest[1]["history"])
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


def finished_ancestors(run: Run, fixed: FixedRecipes, splits: Splits) -> dict[str, TrainedModel]:
    """Load the finished recipes that are the base or the teacher of others, from their checkpoints, by recipe id.

    Raises:
        InvalidInput: a checkpoint that is needed is gone.
    """
    needed = [one for one in run.trials if one.id in fixed.parents and one.state is State.COMPLETE]
    trials = run.folder.child("trials")
    return {one.id: recover(Recipe.model_validate(one.recipe), trials, splits, fixed.teachers) for one in needed}
