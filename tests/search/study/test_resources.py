"""Resources of a study, by role."""

from typing import Any

import pytest

from cluster.placement.capacity import Room
from cluster.placement.gpu_sharing import trials_that_fit, trials_with_cores
from cluster.placement.placement import Node, Placement
from search.recipes.fixed import FixedRecipes
from search.running.capacity import Capacity, heaviest
from search.study.loading import load
from search.study.resources import Resources
from tests.support.command import SMALL
from tests.support.searcher import done, searcher
from trainables.config import parse
from trainables.errors import InvalidInput


def test_a_role_gets_what_all_get_but_for_what_it_says() -> None:
    resources = parse(
        Resources,
        {
            "gpu": 0.25,
            "accelerator": "A100",
            "market": "spot",
            "labels": {"zone": "in(a, b)"},
            "roles": {"baseline": {"gpu": 1, "market": "on-demand", "labels": {}}, "base": {"gpu": 0}},
        },
    )
    accelerator = ("ray.io/accelerator-type", "A100")
    spot, on_demand = ("ray.io/market-type", "spot"), ("ray.io/market-type", "on-demand")
    zone = ("zone", "in(a, b)")
    assert resources.of("proposed") == Placement(1, 0.25, (accelerator, spot, zone), "cuda")
    assert resources.of("baseline") == Placement(1, 1.0, (accelerator, on_demand), "cuda")
    assert resources.of("base") == Placement(1, 0.0, (accelerator, spot, zone), "cpu")
    assert Resources.model_validate(resources.model_dump(mode="json", exclude_unset=True)) == resources


def test_auto_is_what_was_measured() -> None:
    resources = parse(Resources, {"gpu": "auto", "roles": {"base": {"gpu": 1}}})
    assert resources.measures
    assert resources.of("proposed", 0.2).gpu == 0.2
    assert resources.of("base", 0.2).gpu == 1
    assert not parse(Resources, {"gpu": 0.5}).measures


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"gpu": -1}, "gpu: got -1.0, expected a share of a GPU, 0 to 1, or a whole number of them, or auto"),
        ({"gpu": "most"}, "gpu: got 'most', expected a share of a GPU, 0 to 1, or a whole number of them, or auto"),
        ({"gpu": 1.5}, "gpu: got 1.5, expected a share of a GPU, 0 to 1, or a whole number of them, or auto"),
        ({"market": "cheap"}, "market: got 'cheap', expected 'spot' or 'on-demand'"),
        ({"labels": {"zone": "a b"}}, "labels: got 'a b' for zone, expected value, !value, in(a, b) or !in(a, b)"),
        ({"device": "cuda"}, "device: got cuda with gpu 0 for base, baseline, grid, proposed, confirm, expected a sh"),
        ({"roles": {"teacher": {}}}, "roles.teacher: got 'teacher', expected 'base', 'baseline', 'grid', 'proposed' o"),
        ({"roles": {"base": {"pending": 1}}}, "roles.base.pending: unknown key"),
    ],
)
def test_what_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(Resources, given)
    assert str(refused.value).startswith(problem)


@pytest.mark.parametrize(("peak", "trials"), [(20.0, 4), (20.9, 3), (41.0, 2), (42.0, 1), (99.0, 1), (150.0, 1)])
def test_as_many_trials_share_a_card_as_fit_with_a_fifth_to_spare(peak: float, trials: int) -> None:
    assert trials_that_fit(peak, 100.0) == trials


def test_no_more_trials_share_a_card_than_its_node_has_cpus_for() -> None:
    """16 CPUs and one card; the same of four cards; two CPUs a trial; nodes that differ; fewer CPUs than cards."""
    one, four = Node({"CPU": 16, "GPU": 1}), Node({"CPU": 16, "GPU": 4})
    assert trials_with_cores([one], Placement(1, 1.0)) == 16
    assert trials_with_cores([four], Placement(1, 1.0)) == 4
    assert trials_with_cores([one], Placement(2, 1.0)) == 8
    assert trials_with_cores([four, one], Placement(1, 1.0)) == 16
    assert trials_with_cores([Node({"CPU": 2, "GPU": 4})], Placement(1, 1.0)) == 1


def test_the_heaviest_recipe_is_dense_from_scratch_and_has_the_largest_batch() -> None:
    study = load("digits", ["space.schedule.batch_size=[32, 128]"])
    recipe = heaviest(study, FixedRecipes.of(study))
    assert (recipe.base, recipe.schedule.batch_size, recipe.compression.method) == (None, 128, "none")
    assert recipe.perturbation.kind == "pgd"


def test_a_role_without_a_place_waits_and_others_go_on() -> None:
    """The base has ended; one card takes one baseline at a time, CPUs take two proposals."""
    study = load(
        "digits", [*SMALL, "resources.max_concurrent=null", "resources.roles={baseline: {gpu: 1}}", "budget.trials=3"]
    )
    room = Room(look=lambda: [Node({"CPU": 3.0, "GPU": 1.0})])
    places = Capacity(study.resources.placements(), room)
    waiting = searcher(study, has_place=places.has_place)

    def suggest(name: str) -> str | None:
        suggested = waiting.suggest(name)
        return suggested["role"] if isinstance(suggested, dict) else suggested

    assert [suggest(name) for name in ("t0", "t1", "t2")] == ["base", "baseline", None]
    waiting.on_trial_complete("t0", done(0.1, 0.0))
    assert [suggest(name) for name in ("t2", "t3", "t4")] == ["proposed", "proposed", None]
    waiting.on_trial_complete("t2", done(0.2, 1.0))
    assert [suggest(name) for name in ("t4", "t5")] == ["proposed", None]
    waiting.on_trial_complete("t1", done(0.3, 9.0))
    assert [suggest(name) for name in ("t5", "t6")] == ["baseline", None]
