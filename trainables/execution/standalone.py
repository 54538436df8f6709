"""Runs a recipe and everything that it builds on in this process, without Ray."""

import torch

from trainables.checkpoints.trained_model import TrainedModel
from trainables.data.splits import Splits
from trainables.evaluation.config import Evaluation
from trainables.execution.pipeline import Pipeline
from trainables.recipe.recipe import Recipe


def run(
    recipe: Recipe, evaluation: Evaluation, splits: Splits, device: torch.device, base: TrainedModel | None = None
) -> Pipeline:
    """Run a recipe to its end in this process; first what it builds on, each once, but for a base that is given."""
    given = {} if recipe.base is None or base is None else {recipe.base.id: base}
    return _run(recipe, evaluation, splits, device, given)


def _run(
    recipe: Recipe, evaluation: Evaluation, splits: Splits, device: torch.device, done: dict[str, TrainedModel]
) -> Pipeline:
    """Run a recipe; `done` holds what was trained before, by id, and is added to."""
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
