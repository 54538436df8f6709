"""Rebuilds the networks of finished trials from their last checkpoints."""

from torch import nn

from analysis.run.trials import Run, Trial
from trainables.checkpoints.checkpoint import read_result
from trainables.checkpoints.thinning import was_dropped
from trainables.checkpoints.trained_model import rebuild
from trainables.config import parse
from trainables.data.splits import Splits
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe


def recipe_of(run: Run, trial: Trial) -> Recipe:
    """Return the recipe of a trial. Raises InvalidInput if this version cannot read it."""
    return parse(Recipe, trial.recipe, where=f"{run.folder}/trials/{trial.id}/recipe.json")


def network_of(run: Run, trial: Trial, recipe: Recipe, splits: Splits) -> nn.Module:
    """Rebuild the network of a finished trial, on the CPU and in eval mode.

    Raises:
        InvalidInput: its last checkpoint is gone.
    """
    return rebuild(recipe, splits, weights_of(run, trial, recipe))


def weights_of(run: Run, trial: Trial, recipe: Recipe) -> bytes:
    """Return the weights of a finished trial, content of a safetensors file.

    Raises:
        InvalidInput: its last checkpoint is gone, or its weights were dropped.
    """
    checkpoint = run.folder.child("trials", trial.id, "checkpoint")
    weights = read_result(checkpoint, epochs=max(1, recipe.schedule.epochs), best=recipe.keep == "best")
    if weights is None and was_dropped(checkpoint):
        raise InvalidInput(
            f"{checkpoint}: its weights were dropped by `temper prune`, expected a recipe whose are kept"
        )
    if weights is None:
        raise InvalidInput(f"{checkpoint}: no whole checkpoint of the last epoch in it, expected the trained weights")
    return weights
