"""What a run directory remembers of a search, for a driver that goes on with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.trials import Run, State, Trial
from search.events import Outcome, Proposal
from search.recipes import parents, teachers
from search.study import Study
from trainables.checkpoint import read_newest, read_result
from trainables.cost import Ledger, Lineage
from trainables.data import Splits, tensor_of
from trainables.errors import InvalidInput
from trainables.recipe import Recipe
from trainables.trained import Trained, soft_labels


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
    return [_remembered(trial) for trial in run.trials]


def _remembered(trial: Trial) -> Remembered:
    recipe = Recipe.model_validate(trial.recipe)
    proposal = Proposal(recipe, _role(trial), trial.name, trial.number, trial.params, trial.distributions)
    outcome = None
    if trial.state is not State.RUNNING:
        correct = trial.robust_correct
        outcome = Outcome(
            trial.state,
            trial.reason,
            trial.metrics or None,
            trial.seconds,
            None if correct is None else np.packbits(correct).tobytes().hex(),
            None if correct is None else len(correct),
        )
    return Remembered(proposal, outcome, -1 if trial.order is None else trial.order, trial.history)


def _role(trial: Trial) -> Any:
    return trial.role


def finished_ancestors(run: Run, study: Study, splits: Splits) -> dict[str, Trained]:
    """What others may still build on, by recipe id, out of the checkpoints of those that have finished.

    Raises:
        InvalidInput: a checkpoint that is needed is gone.
    """
    wanted, teaching = parents(study), teachers(study)
    found: dict[str, Trained] = {}
    for one in remember(run):
        recipe = one.proposal.recipe
        if recipe.id in wanted and one.outcome is not None and one.outcome.state is State.COMPLETE:
            found[recipe.id] = _trained(run, recipe, splits, found, teaches=recipe.id in teaching)
    return found


def _trained(run: Run, recipe: Recipe, splits: Splits, found: Mapping[str, Trained], *, teaches: bool) -> Trained:
    folder = run.folder.child("trials", recipe.id, "checkpoint")
    weights = read_result(folder, epochs=max(1, recipe.schedule.epochs), best=recipe.keep == "best")
    newest = read_newest(folder)
    if weights is None or newest is None:
        raise InvalidInput(f"{folder}: no whole checkpoint in it, but other recipes start from that one")
    inherited: Lineage = {}
    for ancestor in (recipe.base, recipe.separate_teacher):
        inherited = {**inherited, **(found[ancestor.id].lineage if ancestor is not None else {})}
    own = Ledger.from_dict(newest[1]["ledger"]).own(inherited)
    labels = soft_labels(recipe, weights, splits, tensor_of(splits.train.images)) if teaches else None
    return Trained(weights, {**inherited, recipe.id: own}, labels)
