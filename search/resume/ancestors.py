"""Loads the trained networks of a run that its other recipes start or learn from. Imports PyTorch."""

from analysis.run.trials import Run
from search.recipes.fixed import FixedRecipes
from trainables.checkpoints.recovery import recover
from trainables.checkpoints.trained_model import TrainedModel
from trainables.data.splits import Splits
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe


def finished_ancestors(run: Run, fixed: FixedRecipes, splits: Splits) -> dict[str, TrainedModel]:
    """Load the finished recipes that are the base or the teacher of others, from their checkpoints, by recipe id.

    Raises:
        InvalidInput: a checkpoint that is needed is gone.
    """
    needed = [one for one in run.trials if one.id in fixed.parents and one.state is State.COMPLETE]
    trials = run.folder.child("trials")
    return {one.id: recover(Recipe.model_validate(one.recipe), trials, splits, fixed.teachers) for one in needed}
