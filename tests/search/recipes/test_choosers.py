"""Choosing without Optuna: every combination once, draws and where they lie; levels, and the grid of them."""

import itertools
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution, json_to_distribution
from ray.tune.search import Searcher

from search.recipes.choosers import RandomChooser
from search.study.loading import changed, load
from search.study.ranges import EpsilonRange, IntRange, RateRange
from search.study.study import Study
from tests.support.made_recordings import COUNT, finite, made
from tests.support.recipes import combinations, propose
from tests.support.searcher import Log, done
from trainables.errors import InvalidInput

CONDITIONAL = [
    "space.compression={pruning_ratio: {low: 0, high: 0.5, step: 0.25}, importance: [l1, l2], scope: [uniform]}",
    "space.perturbation={kind: [n_fgsm, pgd], epsilon: {low: 0.1, high: 0.2, levels: 2}, "
    "steps: {low: 2, high: 4}, warm_up: [0, 0.5]}",
    "space.distillation={weight: [0, 0.5], temperature: [2, 4, 8]}",
    "space.schedule={epochs: {low: 2, high: 8, log: true, levels: 3}, "
    "learning_rate: {low: 0.01, high: 0.04, levels: 2}}",
]


def by_hand() -> set[str]:
    """The combinations of that space, out of nested loops."""
    pruned: list[dict[str, Any]] = [{"pruning_ratio": 0.0}]
    pruned += [
        {"pruning_ratio": ratio, "importance": norm, "scope": "uniform"}
        for ratio in (0.25, 0.5)
        for norm in ("l1", "l2")
    ]
    attacks: list[dict[str, Any]] = [{"perturbation": "n_fgsm"}]
    attacks += [{"perturbation": "pgd", "attack_steps": steps} for steps in (2, 3, 4)]
    taught: list[dict[str, Any]] = [{"distillation_weight": 0}]
    taught += [{"distillation_weight": 0.5, "temperature": heat} for heat in (2, 4, 8)]  # there is one teacher only
    rest = [
        {"warm_up": warm_up, "epsilon": epsilon, "epochs": epochs, "learning_rate": rate}
        for warm_up in (0, 0.5)
        for epsilon in (0.1, 0.2)
        for epochs in (2, 4, 8)
        for rate in (0.01, 0.04)
    ]
    return {key(a | b | c | d) for a, b, c, d in itertools.product(pruned, attacks, taught, rest)}


def key(params: Mapping[str, Any]) -> str:
    return json.dumps({name: float(one) if isinstance(one, int) else one for name, one in sorted(params.items())})


def test_combinations_are_those_of_nested_loops_each_once() -> None:
    found = [key(params) for params in combinations(load("digits", CONDITIONAL))]
    assert len(found) == len(set(found)) == 5 * 4 * 4 * 24
    assert set(found) == by_hand()


def test_an_endless_space_has_no_combinations() -> None:
    with pytest.raises(InvalidInput, match=r"learning_rate: got a range without levels, expected a finite space"):
        list(
            combinations(
                finite("space.schedule.learning_rate={low: 0.01, high: 0.1}"),
            )
        )


def test_draws_keep_to_ranges_steps_and_choices_and_come_evenly() -> None:
    draw = RandomChooser(np.random.default_rng(0))
    floats = np.array([draw.suggest_float("a", 2.0, 4.0) for _ in range(2000)])
    rates = np.array([draw.suggest_float("b", 1e-4, 1e-2, log=True) for _ in range(2000)])
    assert (floats.min() >= 2, floats.max() <= 4, rates.min() >= 1e-4, rates.max() <= 1e-2) == (True,) * 4
    assert np.quantile(floats, [0.25, 0.5, 0.75]) == pytest.approx([2.5, 3.0, 3.5], abs=0.1)
    assert np.quantile(np.log10(rates), [0.25, 0.5, 0.75]) == pytest.approx([-3.5, -3.0, -2.5], abs=0.1)
    finite_draws: list[tuple[list[Any], list[Any]]] = [
        ([0.2, 0.4, 0.6, 0.8], [draw.suggest_float("c", 0.2, 0.8, step=0.2) for _ in range(2000)]),
        ([3, 4, 5], [draw.suggest_int("d", 3, 5) for _ in range(2000)]),
        ([2, 5, 8], [draw.suggest_int("e", 2, 8, step=3) for _ in range(2000)]),
        (["x", "y"], [draw.suggest_categorical("f", ["x", "y"]) for _ in range(2000)]),
    ]
    for expected, drawn in finite_draws:
        values, counts = np.unique(drawn, return_counts=True)
        assert values.tolist() == expected
        assert counts == pytest.approx(2000 / len(expected), rel=0.15)
    whole = [draw.suggest_int("g", 1, 7, log=True) for _ in range(2000)]
    assert set(whole) == set(range(1, 8))
    assert np.mean(np.array(whole) == 1) == pytest.approx(1 / 3, abs=0.05)  # of log(8) the part that is log(2)


def test_a_range_that_steps_do_not_divide_is_not_exceeded() -> None:
    draw = RandomChooser(np.random.default_rng(0))
    assert {draw.suggest_float("a", 0.2, 0.75, step=0.2) for _ in range(50)} == {0.2, 0.4, 0.6}
    assert json_to_distribution(draw.distributions["a"]) == FloatDistribution(0.2, 0.6, step=0.2)
    study = changed(finite(), ["space.compression.pruning_ratio={low: 0.2, high: 0.75, step: 0.2}"])
    assert {params["pruning_ratio"] for params in combinations(study)} == {0.2, 0.4, 0.6}


def test_what_was_chosen_is_kept_and_its_place_is_its_share_of_the_range() -> None:
    chosen = {"rate": 0.01, "ratio": 0.3, "steps": 4, "level": 0.2, "same": 3, "scope": "global", "importance": "l1"}
    draw = RandomChooser(np.random.default_rng(0), chosen)
    assert draw.suggest_float("rate", 1e-3, 1e-1, log=True) == 0.01
    assert draw.suggest_float("ratio", 0.2, 0.6, step=0.1) == 0.3
    assert draw.suggest_int("steps", 1, 16, log=True) == 4
    assert draw.suggest_categorical("level", (0.4, 0.1, 0.2)) == 0.2
    assert draw.suggest_int("same", 3, 3) == 3
    assert draw.suggest_categorical("scope", ("uniform", "global")) == "global"
    assert draw.suggest_categorical("importance", ("l1",)) == "l1"
    assert draw.params == chosen
    assert draw.features == {  # one that has no alternative tells nothing
        "rate": pytest.approx(0.5),  # by its logarithm
        "ratio": pytest.approx(0.25),
        "steps": pytest.approx(0.5),
        "level": 0.5,  # among three levels
        "scope=uniform": 0.0,
        "scope=global": 1.0,
    }


def test_draws_of_a_space_are_of_its_combinations_and_lie_in_the_unit_cube() -> None:
    study, rng = load("digits", CONDITIONAL), np.random.default_rng(1)
    known = by_hand()
    for _ in range(200):
        draw = RandomChooser(rng)
        propose(draw, study)
        assert key(draw.params) in known
        assert all(0 <= share <= 1 for share in draw.features.values())


def test_levels_lie_at_equal_ratios_or_distances_and_whole_numbers_are_rounded_and_each_once() -> None:
    assert RateRange(low=0.001, high=0.1, levels=3).values(log=True) == pytest.approx((0.001, 0.01, 0.1))
    assert EpsilonRange(low=0.1, high=0.3, levels=3).values(log=False) == pytest.approx((0.1, 0.2, 0.3))
    assert RateRange(low=0.001, high=0.1).values(log=True) == ()
    assert IntRange(low=4, high=12, log=True, levels=3).numbers == (4, 7, 12)  # √48 is 6.9
    assert IntRange(low=1, high=9, levels=3).numbers == (1, 5, 9)
    assert IntRange(low=1, high=3, levels=8).numbers == (1, 2, 3)
    assert IntRange(low=2, high=4).numbers == (2, 3, 4)
    assert math.prod([4, 3, 2, 3, 2]) == COUNT == len(list(combinations(finite())))


def searched(study: Study) -> Log:
    """Run a whole search, trial by trial, until nothing more is proposed."""
    log = Log(study)
    for number in itertools.count():
        suggestion = log.searcher.suggest(f"t{number}")
        if suggestion == Searcher.FINISHED:
            break
        assert isinstance(suggestion, dict)
        log.searcher.on_trial_complete(f"t{number}", done(0.1 + number / 1e4, 1e9))
    return log


def test_grid_goes_through_a_finite_space_once_and_ends() -> None:
    single = ("space.label_smoothing={low: 0.1, high: 0.1}", "space.schedule.weight_decay={low: 0.001, high: 0.001}")
    study = finite("sampler.kind=grid", "budget.trials=1000", "space.perturbation.kind=[pgd]", *single)
    log = searched(study)
    proposed = [key(one.params) for one in log.proposals if one.role == "proposed"]
    expected = [key(params) for params in combinations(study)]
    assert len(proposed) == len(set(proposed)) == 96
    assert set(proposed) == set(expected)
    assert proposed != expected  # but in another order
    recorded = set(made(study).curves)
    assert {json.dumps(one.params, sort_keys=True) for one in log.proposals if one.params} <= recorded  # to the digit


@pytest.mark.parametrize("kind", ["nsga2", "random"])  # TPE, which takes three seconds, did not either
def test_any_sampler_comes_to_the_end_of_a_small_finite_space(kind: str) -> None:
    few = (
        "space.schedule.epochs={low: 4, high: 8, levels: 2}",
        "space.compression.pruning_ratio={low: 0.4, high: 0.6, step: 0.2}",
    )
    study = finite(f"sampler.kind={kind}", "budget.trials=1000", "space.perturbation.kind=[pgd]", *few)
    log = searched(study)
    proposed = [key(one.params) for one in log.proposals if one.role == "proposed"]
    assert sorted(proposed) == sorted({key(params) for params in combinations(study)})


def test_grid_is_refused_where_the_space_is_endless() -> None:
    with pytest.raises(InvalidInput, match=r"sampler.kind: got grid with an endless space.perturbation.epsilon, sp"):
        load("digits", ["sampler.kind=grid"])
