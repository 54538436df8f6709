"""Runs a recipe with its bases and teachers in this process, without Ray."""

import torch

from trainables.checkpoints.trained_model import TrainedModel
from trainables.data.splits import Splits
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline
from trainables.recipe.recipe import Recipe


def run(
    recipe: Recipe, evaluation: ScoringProtocol, splits: Splits, device: torch.device, base: TrainedModel | None = None
) -> Pipeline:
    """Runs a recipe to its end in this process, after its bases and teachers, each of which is run once.

    Args:
        recipe: the recipe to run.
        evaluation: how it is scored.
        splits: train and validation images.
        device: device to compute on.
        base: the trained base, where it has been trained already.
    """
    given = {} if recipe.base is None or base is None else {recipe.base.id: base}
    return _run(recipe, evaluation, splits, device, given)


def _run(
    recipe: Recipe, evaluation: ScoringProtocol, splits: Splits, device: torch.device, done: dict[str, TrainedModel]
) -> Pipeline:
    """Runs a recipe; `done` holds the models that were trained before, by recipe id, and new ones are added to it."""
    teacher = recipe.separate_teacher
    for ancestor in (recipe.base, teacher):
        if ancestor is not None and ancestor.id not in done:
            done[ancestor.id] = _run(ancestor, evaluation, splits, device, done).trained()
    pipeline = Pipeline(
        recipe,
        evaluation,
        splits,
        done[recipe.base.id] if recipe.base else None,
        device,
        done[teacher.id] if teacher else None,
    )
    while not pipeline.finished:
        pipeline.step()
    return pipeline
