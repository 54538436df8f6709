"""The model's inputs for a recipe: recipes that train the same have the same, and no input is of what is not used."""

import json

import numpy as np

from search.recipes.choosers import RandomChooser
from search.study.loading import load
from search.surrogate.inputs import inputs_of
from tests.support.command import SMALL
from tests.support.recipes import propose
from trainables.recipe.recipe import Recipe

SPACE = [
    *SMALL,
    "space.base=[base, none]",
    "space.compression={pruning_ratio: {low: 0, high: 0.5, step: 0.5}, importance: [l1, l2], scope: uniform, "
    "steps: [1, 2, 4]}",
    "space.quantization={weight_bits: [8, 32]}",
    "space.perturbation={kind: [n_fgsm, pgd], epsilon: {low: 0.1, high: 0.1}, steps: {low: 2, high: 3}}",
    "space.schedule={epochs: {low: 1, high: 3}, learning_rate: {low: 0.1, high: 0.1}}",
    "space.distillation={weight: [0, 1], temperature: [1, 4]}",
    "space.label_smoothing=[0, 0.1]",
]


def drawn(count: int) -> list[tuple[RandomChooser, Recipe]]:
    study, rng = load("digits", SPACE), np.random.default_rng(0)
    choosers = [RandomChooser(rng) for _ in range(count)]
    return [(chooser, propose(chooser, study)) for chooser in choosers]


def test_recipes_that_train_the_same_have_the_same_inputs() -> None:
    inputs: dict[Recipe, set[str]] = {}
    chosen: dict[Recipe, set[str]] = {}
    for chooser, recipe in drawn(700):
        inputs.setdefault(recipe, set()).add(json.dumps(inputs_of(chooser, recipe), sort_keys=True))
        chosen.setdefault(recipe, set()).add(json.dumps(chooser.params, sort_keys=True))
    assert {len(one) for one in inputs.values()} == {1}
    assert max(len(one) for one in chosen.values()) == 3  # 1, 2 and 4 steps of pruning in one epoch
    assert len({next(iter(one)) for one in inputs.values()}) == len(inputs)  # and others have others


def test_what_a_recipe_does_not_use_is_no_input() -> None:
    for chooser, recipe in drawn(100):
        names = {name.partition("=")[0] for name in inputs_of(chooser, recipe)}
        pruned, soft = recipe.compression.method != "none", recipe.distillation is not None
        assert ("attack_steps" in names) == (recipe.perturbation.kind == "pgd")
        assert {"importance", "pruning_steps"} & names == ({"importance", "pruning_steps"} if pruned else set())
        assert ("temperature" in names) == soft
        assert ("distillation_weight" in names) == (recipe.base is not None)
        assert ("label_smoothing" in names) == (not soft)
        assert not {"scope", "epsilon", "learning_rate", "teacher"} & names  # of which there is one choice


def test_pruning_steps_that_the_epochs_cut_short_lie_between_those_that_can_be_chosen() -> None:
    places = {
        recipe.compression.steps: inputs_of(chooser, recipe)["pruning_steps"]
        for chooser, recipe in drawn(100)
        if "pruning_steps" in chooser.params
    }
    assert places == {1: 0.0, 2: 0.5, 3: 0.75}  # of 1, 2 and 4, and at most 3 epochs
