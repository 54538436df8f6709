"""What made a recipe is read off it: proposing with these choices makes the same recipe again."""

import numpy as np
import pytest

from search.recipes.choosers import RandomChooser
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.samplers.past_choices import past_choices
from search.study.loading import load

WIDE = [
    "objectives=[robust_accuracy, end_to_end_flops]",
    "space.base=[base, none]",
    "space.pretraining_epochs={low: 2, high: 6}",
    "space.compression.steps=[1, 2, 4]",
    "space.compression.pruning_ratio={low: 0, high: 0.8}",
    "space.compression.alternatives=[{method: none}]",
    "space.quantization={weight_bits: [4, 32], activation_bits: [8, 32]}",
    "space.perturbation.kind=[fgsm, n_fgsm, pgd]",
    "space.perturbation.warm_up=[0.0, 0.3]",
    "space.loss=[{kind: cross_entropy}, {kind: trades, beta: 6}, {kind: mixed}]",
    "space.label_smoothing=[0, 0.1]",
    "space.loop=[{kind: ordinary}, {kind: free, replays: 2}]",
    "space.distillation={weight: [0, 0.5, 1], temperature: {low: 1, high: 8}, teacher: [base, pgd_at_10]}",
    "space.schedule.shape=[one_cycle, cosine]",
    "space.schedule.batch_size=[32, 64]",
    "space.schedule.optimizer=[sgd, adamw]",
    "space.schedule.momentum=[0.8, 0.9]",
    "space.schedule.weight_decay={low: 1e-5, high: 1e-2}",
    "space.schedule.averaging={low: 0.9, high: 0.999}",
]
DENSE = ["space.compression.pruning_ratio={low: 0, high: 0.2, step: 0.1}"]  # some of it, by a ratio of 0
LISTS = ["space.schedule.averaging=[null, 0.98]", "space.compression.mac_ratio={low: 0.1, high: 0.9, levels: 4}"]


@pytest.mark.parametrize(("step", "held"), [(0.05, True), (0.2, True), (0.15, False), (0.3, False)])
def test_a_ratio_between_the_steps_of_a_study_is_not_in_its_space(step: float, held: bool) -> None:
    theirs = load("digits", ["space.compression.pruning_ratio={low: 0.4, high: 0.4}"])
    recipe = propose(RandomChooser(np.random.default_rng(0)), theirs, FixedRecipes.of(theirs))
    study = load("digits", [f"space.compression.pruning_ratio={{low: 0, high: 0.6, step: {step}}}"])
    found = past_choices(recipe, {}, study, FixedRecipes.of(study))
    assert (found is not None) is held


@pytest.mark.parametrize("settings", [[], DENSE, WIDE, [*WIDE, *LISTS]])
def test_the_choices_that_are_read_off_a_recipe_make_it_again(settings: list[str]) -> None:
    study = load("digits", settings)
    fixed = FixedRecipes.of(study)
    for seed in range(60):
        chooser = RandomChooser(np.random.default_rng(seed))
        recipe = propose(chooser, study, fixed)
        found = past_choices(recipe, chooser.params, study, fixed)
        assert found == (chooser.params, chooser.distributions)
        read_off = past_choices(recipe, {}, study, fixed)
        assert read_off is not None, (seed, chooser.params)
        assert propose(RandomChooser(np.random.default_rng(0), read_off[0]), study, fixed) == recipe
