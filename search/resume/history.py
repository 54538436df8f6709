"""What a run directory remembers of a search, for a driver that goes on with it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.run.trials import Run, State, Trial
from search.events import Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from trainables.checkpoints.checkpoint import read_newest
from trainables.checkpoints.recovery import recover
from trainables.checkpoints.trained_model import Trained
from trainables.data.splits import Splits
from trainables.recipe.recipe import Recipe


@dataclass(frozen=True)
class Remembered:
    """One trial of the record.

    Attributes:
        outcome: None if it has not ended.
        order: of ending.
        history: its epochs so far.
    """

    proposal: Proposal
    outcome: Outcome | None
    order: int
    history: tuple[dict[str, Any], ...]


def remember(run: Run) -> list[Remembered]:
    """The trials of a run in the order of proposing. One whose recipe is torn never began, and is proposed anew."""
    return [_remembered(run, trial) for trial in run.trials]


def _remembered(run: Run, trial: Trial) -> Remembered:
    recipe = Recipe.model_validate(trial.recipe)
    proposal = Proposal(recipe, _role(trial), trial.name, trial.number, trial.params, trial.distributions)
    outcome, history = None, trial.history
    if trial.state is State.RUNNING:  # it goes on from its newest whole checkpoint, whatever a torn one tells
        newest = read_newest(run.folder.child("trials", trial.id, "checkpoint"))
        history = () if newest is None else tuple(newest[1]["history"])
    else:
        correct = trial.robust_correct
        outcome = Outcome(
            trial.state,
            trial.reason,
            trial.metrics or None,
            trial.seconds,
            None if correct is None else np.packbits(correct).tobytes().hex(),
            None if correct is None else len(correct),
        )
    return Remembered(proposal, outcome, -1 if trial.order is None else trial.order, history)


def _role(trial: Trial) -> Any:
    return trial.role


def finished_ancestors(run: Run, fixed: FixedRecipes, splits: Splits) -> dict[str, Trained]:
    """What others may still build on, by recipe id, out of the checkpoints of those that have finished.

    Raises:
        InvalidInput: a checkpoint that is needed is gone.
    """
    finished = [Recipe.model_validate(trial.recipe) for trial in run.trials if trial.state is State.COMPLETE]
    trials = run.folder.child("trials")
    return {one.id: recover(one, trials, splits, fixed.teachers) for one in finished if one.id in fixed.parents}
