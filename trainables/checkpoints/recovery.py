"""Rebuilds finished bases and teachers from a run directory, for resumed searches and where the cache is lost."""

from collections.abc import Collection

import torch

from trainables.checkpoints.checkpoint import read_newest
from trainables.checkpoints.trained_model import TrainedModel, soft_labels
from trainables.compute.ledger import Ledger, Lineage
from trainables.data.splits import Splits, tensor_of
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder

CPU = torch.device("cpu")


def recover(
    recipe: Recipe, trials: Folder, splits: Splits, teachers: Collection[str] = (), device: torch.device = CPU
) -> TrainedModel:
    """Rebuilds the trained model of a finished recipe from its last checkpoint and those of its bases and teachers.

    Args:
        recipe: the recipe, which has finished.
        trials: the run's trials/ folder.
        splits: the data of the run.
        teachers: ids of the recipes that are teachers of others; their soft labels are computed again.
        device: the device to compute these on.

    Raises:
        InvalidInput: a checkpoint that is needed is missing or damaged.
    """
    folder = trials.child(recipe.id, "checkpoint")
    newest = read_newest(folder)
    epochs, best = max(1, recipe.schedule.epochs), recipe.keep == "best"
    weights = None if newest is None else newest.result(epochs=epochs, best=best)
    if weights is None or newest is None:
        raise InvalidInput(f"{folder}: no whole checkpoint in it, but other recipes start from that one")
    inherited: Lineage = {}
    for ancestor in (recipe.base, recipe.separate_teacher):
        if ancestor is not None:
            inherited = {**inherited, **recover(ancestor, trials, splits).lineage}
    own = Ledger.from_dict(newest.state["ledger"]).own(inherited)
    teaches = recipe.id in teachers
    labels = soft_labels(recipe, weights, splits, tensor_of(splits.train.images).to(device)) if teaches else None
    return TrainedModel(weights, {**inherited, recipe.id: own}, labels)
