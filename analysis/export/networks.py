"""Finds a finished trial by what people call it, and rebuilds its network from its last checkpoint."""

from torch import nn

from analysis.run.trials import Run, Trial
from trainables.checkpoints.checkpoint import read_result
from trainables.checkpoints.trained_model import rebuild
from trainables.config import parse
from trainables.data.splits import Splits
from trainables.errors import InvalidInput
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe


def finished_trial(run: Run, wanted: str) -> Trial:
    """Return the finished trial that a fixed recipe's name or the beginning of an id means.

    Raises:
        InvalidInput: there is none, or there are several.
    """
    finished = [trial for trial in run.trials if trial.state is State.COMPLETE]
    named = [trial for trial in finished if trial.name == wanted]
    found = named or [trial for trial in finished if wanted and trial.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(trial.id for trial in found[:5])
        raise InvalidInput(f"{run.folder}: {wanted!r} is the beginning of {len(found)} trials, such as {ids}")
    others = [trial for trial in run.trials if trial.name == wanted or (wanted and trial.id.startswith(wanted))]
    if others:
        raise InvalidInput(f"{run.folder}: trial {others[0].id} has not finished, so it has no network to look at")
    names = ", ".join(trial.name or trial.id for trial in finished[:5])
    some = f", expected one such as {names}" if names else ", and none has finished"
    raise InvalidInput(f"{run.folder}: no trial is called {wanted!r}{some}")


def recipe_of(run: Run, trial: Trial) -> Recipe:
    """Return the recipe of a trial. Raises InvalidInput if this version cannot read it."""
    return parse(Recipe, trial.recipe, where=f"{run.folder}/trials/{trial.id}/recipe.json")


def network_of(run: Run, trial: Trial, recipe: Recipe, splits: Splits) -> nn.Module:
    """Rebuild the network of a finished trial, on the CPU and in eval mode.

    Raises:
        InvalidInput: its last checkpoint is gone.
    """
    checkpoint = run.folder.child("trials", trial.id, "checkpoint")
    weights = read_result(checkpoint, epochs=max(1, recipe.schedule.epochs), best=recipe.keep == "best")
    if weights is None:
        raise InvalidInput(f"{checkpoint}: no whole checkpoint of the last epoch in it, expected the trained weights")
    return rebuild(recipe, splits, weights)
