"""The estimate, held against closed forms; the work that it is of, against what trials are charged."""

import pytest
import torch

from search.preflight.dry_run import NOT_PLANNED
from search.preflight.estimate import HANDOVER_SECONDS, HOUR, START_SECONDS, Slots, estimate, seconds_of
from search.preflight.workload import Work, timed, workload
from search.recipes.baselines import base_recipe
from search.recipes.fixed import FixedRecipes
from search.study.algorithms import Sampler
from search.study.loading import load
from tests.support.plans import plan_of
from trainables.checkpoints.trained_model import TrainedModel
from trainables.compression.config import ChannelPruning
from trainables.data.splits import load_splits
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.estimation.speed import Speed, time_recipe
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.recipe.recipe import Recipe

STUDY = load("digits", ["data.train_size=200", "data.validation_size=100"])
FAST, SLOW = Speed(100.0, 0.0, 0.0, 0.0), Speed(50.0, 2.0, 5.0, 1.0)


def work(
    trials: int, flops: float, *, name: str = "", after: str | None = None, epochs: float = 1, passes: float = 0
) -> Work:
    return Work("baseline" if name else "proposed", name, base_recipe(STUDY), trials, flops, epochs, passes, after)


def test_a_trial_takes_its_flops_its_scoring_and_its_start() -> None:
    assert SLOW.around(3) == 1 + 3 * 2 + 5
    assert SLOW.around(0) == 1 + 2 + 5  # weights as they are: scored once
    assert seconds_of(work(1, 100.0), Slots("CPU", 1, FAST, SLOW, 1)) == HANDOVER_SECONDS + 100 / 50 + SLOW.around(1)
    assert seconds_of(work(1, 100.0, name="b"), Slots("CPU", 1, FAST, SLOW, 1)) == HANDOVER_SECONDS + 1


def timed_at(passes: float, flops: float, seconds: float) -> Speed:
    return Speed(flops / seconds, 0.0, 0.0, 0.0, passes / flops)


def test_two_timed_recipes_tell_what_a_pass_costs_and_what_a_flop_does() -> None:
    """0.005 s a pass and 1e-11 s a FLOP are found, and hold for recipes of any size."""

    def seconds(passes: float, flops: float) -> float:
        return 0.005 * passes + 1e-11 * flops

    large, little = (timed_at(*one, seconds(*one)) for one in ((800.0, 6e11), (400.0, 2e10)))
    slots = Slots("CPU", 1, large, little, 1)
    for name in ("pgd", ""):
        for passes, flops in ((800.0, 6e11), (400.0, 2e10), (300.0, 1e9), (100.0, 1e12)):
            found = slots.training_seconds(work(1, flops, name=name, passes=passes))
            assert found == pytest.approx(seconds(passes, flops))


@pytest.mark.parametrize(("small", "kind"), [(0.2, "passes"), (0.0005, "FLOPs")])
def test_timings_that_fit_no_such_sum_are_taken_for_passes_or_for_flops_alone(small: float, kind: str) -> None:
    """A large recipe took a second; a small one of a hundredth of its FLOPs in a tenth of its passes took this long."""
    slots = Slots("CPU", 1, timed_at(1000.0, 1e11, 1.0), timed_at(100.0, 1e9, small), 1)
    more_passes, more_flops = work(1, 1e11, name="pgd", passes=2000.0), work(1, 2e11, name="pgd", passes=1000.0)
    found = slots.training_seconds(more_passes), slots.training_seconds(more_flops)
    assert found == pytest.approx((2.0, 1.0) if kind == "passes" else (1.0, 2.0))


def test_equal_slots_share_the_work() -> None:
    works = [work(1, 1_000.0, name="base"), work(100, 10_000.0)]
    each = [HANDOVER_SECONDS + 10, HANDOVER_SECONDS + 100]
    for count in (1, 4):
        expected = estimate(works, [Slots("CPU", count, FAST, FAST, 2)], price=3.0)
        wall = START_SECONDS + (each[0] + 100 * each[1]) / count
        assert expected.trials == 101
        assert expected.hours * HOUR == pytest.approx(wall)
        assert expected.device_hours == {"CPU": pytest.approx(2 * count * wall / HOUR)}
        assert expected.cost == pytest.approx(3 * 2 * count * wall / HOUR)


def test_devices_of_two_speeds_share_it_by_their_speeds() -> None:
    works, half = [work(30, 10_000.0)], Speed(50.0, 0.0, 0.0, 0.0)
    slots = [Slots("A", 2, FAST, FAST, 0.5), Slots("B", 1, half, half, 1)]
    expected = estimate(works, slots)
    fast, slow = 30 * (100 + HANDOVER_SECONDS), 30 * (200 + HANDOVER_SECONDS)
    assert expected.hours * HOUR == pytest.approx(START_SECONDS + 1 / (2 / fast + 1 / slow))
    assert expected.device_hours == {"A": pytest.approx(expected.hours), "B": pytest.approx(expected.hours)}
    assert expected.cost is None


def test_no_number_of_slots_shortens_a_chain() -> None:
    works = [
        work(1, 1_000.0, name="base"),
        work(1, 5_000.0, name="robust", after="base"),
        work(1, 2_000.0, name="pruned", after="robust"),
        work(1, 6_000.0, name="alone"),
    ]
    expected = estimate(works, [Slots("CPU", 1_000, FAST, FAST, 1)])
    assert expected.hours * HOUR == pytest.approx(START_SECONDS + 80 + 3 * HANDOVER_SECONDS)
    assert estimate(works, [Slots("CPU", 1, FAST, FAST, 1)], hours=0.01).hours == 0.01


def test_planned_work_is_what_trials_are_charged_for() -> None:
    set_conditions(1)
    splits = load_splits(STUDY.data)
    works = workload(STUDY, FixedRecipes.of(STUDY), splits)
    by_name = {one.name: one for one in works}
    assert [one.name for one in works] == [*(one.name for one in FixedRecipes.of(STUDY)), ""]
    assert by_name["robust_then_pruned"].after == "pgd_at_20"
    assert by_name["pgd_at_20"].after is None
    assert by_name["pgd_at_10"].flops == pytest.approx(by_name["pgd_at_20"].flops / 2, rel=1e-6)
    assert (works[-1].trials, works[-1].after) == (20, "base")
    recipe = by_name["n_fgsm_at_5"].recipe
    pipeline = Pipeline(recipe, STUDY.protocol, splits, None, torch.device("cpu"))
    while not pipeline.finished:
        pipeline.step()
    assert by_name["n_fgsm_at_5"].flops == pytest.approx(pipeline.ledger.end_to_end, rel=1e-9)
    dense, proposal = timed(works, STUDY.reference)
    assert (dense, proposal.base) == (by_name["pgd_at_20"].recipe, None)
    speed = time_recipe(proposal, STUDY.protocol, splits, threads=1, gpu=False, seconds=0.2)
    assert 1e8 < speed.flops_per_second < 1e13
    steps = by_name["pgd_at_20"].passes / by_name["n_fgsm_at_5"].passes
    assert steps == (20 * (7 + 1)) / (5 * (1 + 1))  # epochs, and passes of attack and update
    planned = works[-1].passes / works[-1].flops  # of proposals on average; of this one, on fewer images, about as many
    assert planned / 5 < speed.passes_per_flop < planned * 5
    assert 0 < speed.progress_seconds < 10


def test_a_plan_says_about_where_widths_follow_weights_that_training_has_yet_to_make() -> None:
    pruned = "{method: channel_pruning, pruning_ratio: 0.5, scope: %s}"
    after, scratch = "baselines.5.compression=" + pruned, "baselines.4.compression=" + pruned
    small = ["data.train_size=200", "data.validation_size=100"]
    for scope, expected in (("global", {"robust_then_pruned"}), ("uniform", set())):
        study = load("digits", [*small, after % scope, scratch % scope])
        works = workload(study, FixedRecipes.of(study), load_splits(study.data))
        assert {work.name for work in works if work.about} == expected | {""}
        assert works[-1].role == "proposed"


def test_the_mean_of_proposals_is_interpolated_and_not_far_off(monkeypatch: pytest.MonkeyPatch) -> None:
    splits, fixed = load_splits(STUDY.data), FixedRecipes.of(STUDY)
    counted: list[object] = []
    whole = FlopsPlanner._count

    def count(planner: FlopsPlanner, recipe: Recipe, base: TrainedModel | None) -> object:
        counted.append(recipe.compression)
        return whole(planner, recipe, base)

    monkeypatch.setattr(FlopsPlanner, "_count", count)
    rough = workload(STUDY, fixed, splits)[-1].flops
    networks = len(counted)
    monkeypatch.setattr(ChannelPruning, "counted_as", lambda *_, **__: ())
    exact = workload(STUDY, fixed, splits)[-1].flops
    assert networks < 12 < len(counted) - networks
    assert rough == pytest.approx(exact, rel=0.08)
    assert rough != exact


def test_a_budget_of_flops_bounds_the_proposals() -> None:
    splits = load_splits(STUDY.data)
    mean = workload(STUDY, FixedRecipes.of(STUDY), splits)[-1].flops
    bounded = STUDY.model_copy(update={"budget": STUDY.budget.model_copy(update={"flops": 3 * mean})})
    at_random = bounded.model_copy(update={"sampler": Sampler(kind="random")})
    assert workload(at_random, FixedRecipes.of(at_random), splits)[-1].trials == 3
    spread = workload(bounded, FixedRecipes.of(bounded), splits)[-1]  # by a sampler that knows what recipes cost
    assert spread.trials == STUDY.budget.trials
    assert spread.trials * spread.flops == pytest.approx(3 * mean)


def test_a_plan_groups_a_grid_and_goes_without_flops_where_the_data_is_missing() -> None:
    grid = "grid={pruning_ratios: [0.5], bits: [8], seeds: 2, arms: [{name: cut, base: base}]}"
    small = load("digits", ["data.train_size=200", "data.validation_size=100", grid, "budget.trials=0"])
    lines = plan_of(small).splitlines()
    assert any(line.split()[:4] == ["grid", "cut", "4", "recipes"] for line in lines)
    assert any(line.startswith("12 recipes, ") for line in lines)  # 2 bases, 6 baselines, 4 cells
    missing = plan_of(load("digits", ["data={name: image_folder, path: /nowhere, image_size: 8, validation_size: 10}"]))
    assert NOT_PLANNED in missing
    assert "/nowhere" not in missing  # the error says it, once
    assert "pgd_at_20" in missing
