"""A finite space plans the recipes that it holds; any other study plans its budget."""

from search.preflight.study_check import check_study
from search.recipes.finite_space import planned_proposals, planned_recipes
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from tests.support.command import SMALL

LEVELS = [
    *SMALL,
    "sampler.kind=grid",
    "space.compression={pruning_ratio: {low: 0.3, high: 0.6, step: 0.3}, scope: [uniform]}",
    "space.perturbation={kind: [n_fgsm], epsilon: {low: 0.05, high: 0.1, levels: 2}}",
    "space.schedule={epochs: {low: 1, high: 2}, learning_rate: {low: 0.02, high: 0.1, levels: 2}}",
    "budget.trials=40",
]


def planned(*settings: str) -> int:
    study = load("digits", [*LEVELS, *settings])
    return planned_proposals(study, FixedRecipes.of(study))


def test_a_grid_plans_its_combinations() -> None:
    assert planned() == 2 * 2 * 2 * 2
    assert planned("budget.trials=7") == 7
    assert planned("sampler.kind=random") == 16  # each recipe is trained once, whoever proposes it
    study = load("digits", LEVELS)
    fixed = FixedRecipes.of(study)
    assert planned_recipes(study, fixed) == 1 + len(fixed.baselines) + 16
    assert check_study(study) == 16


def test_combinations_of_one_recipe_count_once() -> None:
    """At one epoch, pruning in two steps is pruning in one."""
    assert planned("space.compression.steps=[1, 2]") == 8 + 2 * 8
    assert (
        planned(
            "space.compression.pruning_ratio={low: 0, high: 0.3, step: 0.3}",
            "space.compression.scope=[global, uniform]",
        )
        == 8 + 2 * 8
    )


def test_an_endless_space_plans_its_budget() -> None:
    assert planned("space.schedule.learning_rate={low: 0.02, high: 0.1}", "sampler.kind=random") == 40
