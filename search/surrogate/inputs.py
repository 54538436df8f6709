"""Tells the inputs that the model has for a recipe: the coordinates of the parameters that the recipe uses."""

from search.recipes.choosers import RandomChooser
from trainables.recipe.recipe import Recipe


def inputs_of(chooser: RandomChooser, recipe: Recipe) -> dict[str, float]:
    """Return a recipe's inputs, by the parameter's name, so that recipes that train the same have the same inputs.

    A parameter that the recipe does not use was not chosen, and one with a single choice tells nothing: neither is an
    input. Compression takes no more steps than there are epochs, so its input says how many it takes.

    Args:
        chooser: what chose the recipe's parameters.
        recipe: the recipe.
    """
    inputs = dict(chooser.features)
    if "pruning_steps" in inputs:
        inputs["pruning_steps"] = chooser.position("pruning_steps", recipe.compression.steps)
    return inputs
