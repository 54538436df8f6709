"""The sweep of baselines: what it changes of a recipe, and the table of what it found."""

from typing import Any

from search.recipes.baselines import started_recipes
from search.study.loading import load
from tests.benchmarks.sweep import swept, table


def row(rate: float, averaging: float | None, robust: float | None, seed: int = 0) -> dict[str, Any]:
    return {"baseline": "pgd", "rate": rate, "averaging": averaging, "seed": seed, "robust_accuracy": robust}


def test_only_rate_averaging_and_seed_of_a_baseline_change() -> None:
    study = load("digits")
    found, before = swept(study, study.reference, 0.3, 0.9, 5), started_recipes(study, 5)[study.reference]
    assert (found.schedule.learning_rate, found.schedule.averaging, found.seed) == (0.3, 0.9, 5)
    schedule = found.schedule.model_copy(
        update={"learning_rate": before.schedule.learning_rate, "averaging": before.schedule.averaging}
    )
    assert found.model_copy(update={"schedule": schedule}) == before


def test_the_table_shows_means_over_seeds_and_the_best_of_each_baseline() -> None:
    rows = [row(0.1, None, 0.5), row(0.1, None, 0.7, seed=1), row(0.2, None, 0.9), row(0.2, None, None, seed=1)]
    rows += [row(0.1, 0.98, 0.55)]
    assert table(rows) == [
        "| baseline | averaging | 0.1 | 0.2 |",
        "|---|---|---|---|",
        "| pgd | none | **0.600** | failed |",
        "| pgd | 0.98 | 0.550 |  |",
    ]
