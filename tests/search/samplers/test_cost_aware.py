"""The cost-aware sampler: what it prefers, what it avoids, and that it is a function of the record."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import distribution_to_json
from optuna.trial import FixedTrial
from threadpoolctl import threadpool_limits

from analysis.pareto.hypervolume import hypervolume
from search.events import Outcome, Proposal
from search.recipes.choosers import RandomChooser
from search.recipes.fixed import FixedRecipes
from search.samplers.limits import Limits
from search.samplers.sampler import SearchState, sampler_of
from search.samplers.warm_start import PastTrial
from search.simulation.driver import simulate, trace
from search.simulation.virtual_cluster import VirtualCluster
from search.study.loading import load
from search.surrogate.gaussian_process import GaussianProcess, Observation
from search.surrogate.starting_design import information
from tests.support.gains import gains_in_the_plane
from tests.support.made_recordings import REFERENCE, accuracy, finite, flops, made
from tests.support.recipes import combinations, propose
from tests.support.searcher import sampler
from trainables.errors import TemperError
from trainables.execution.ending import Ending, EndKind

AWARE = ["sampler.kind=cost_aware", "sampler.startup_trials=6"]
FEW = [  # 24 recipes, so few that each of them is among the candidates
    "space.compression.pruning_ratio={low: 0.2, high: 0.6, step: 0.4}",
    "space.perturbation={kind: [n_fgsm], epsilon: {low: 0.1, high: 0.2, levels: 2}}",
]
BASE = {"robust_accuracy": 0.05, "clean_accuracy": 0.95}
Params = Mapping[str, Any]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices of this size gain nothing from threads."""
    with threadpool_limits(1):
        yield


class Asked:
    """A cost-aware sampler of the small study, and who tells it how recipes end."""

    def __init__(self, *settings: str, past_trials: Sequence[PastTrial] = ()) -> None:
        self.study = finite(*AWARE, *FEW, *settings)
        curves = made(self.study).of(self.study)
        self.sampler = sampler(
            self.study,
            cost=lambda recipe: {"train_flops": curves[recipe].planned("train_flops")},
            past_trials=past_trials,
        )
        self.every = list(combinations(self.study))

    def end(self, params: Params, kind: EndKind = EndKind.FINISHED) -> None:
        proposal = Proposal(propose(FixedTrial(dict(params)), self.study), "proposed", None, 0, params)
        self.sampler.restore(proposal)
        metrics = {"robust_accuracy": accuracy(params), "train_flops": flops(params)}
        self.sampler.ended(proposal, Outcome(Ending(kind), metrics if kind is EndKind.FINISHED else None, 1.0))

    def features(self, params: Params) -> Mapping[str, float]:
        chooser = RandomChooser(np.random.default_rng(0), params)
        propose(chooser, self.study)
        return chooser.features

    def choose(self, left: float, limits: Limits | None = None) -> Params | None:
        """What it asks for next, which is not accepted."""
        candidate = self.sampler.ask(SearchState(left, BASE, limits=limits))
        return None if candidate is None else candidate.params

    def best(self, known: Sequence[Params], done: Sequence[Params], left: float) -> Params:
        """Of the recipes that are not done, by what is known, the one of the largest gain for its compute."""
        features = self.features
        open_ = [params for params in self.every if params not in done]
        seen = [Observation(features(params), 1.0, accuracy(params)) for params in known]
        mean, deviation = GaussianProcess(seen).predict(seen, [features(params) for params in open_])
        costs = np.log10([flops(params) for params in open_])
        front = np.array([(accuracy(params), math.log10(flops(params))) for params in done]).reshape(-1, 2)
        bounds = (BASE["robust_accuracy"], math.log10(1.1 * REFERENCE))
        gains = gains_in_the_plane(mean, deviation, costs, front, bounds)
        return open_[int(np.argmax(gains / 10 ** (left * costs)))]


def test_before_it_knows_enough_it_takes_what_tells_most_for_its_cost() -> None:
    asked = Asked()
    ended = [params for params in asked.every if params["pruning_ratio"] == 0.6][:3]
    for params in ended:
        asked.end(params)
    open_ = [params for params in asked.every if params not in ended]
    told = information([asked.features(params) for params in ended], [asked.features(params) for params in open_])
    costs = np.array([flops(params) for params in open_])
    for left in (0.0, 0.5, 1.0):
        chosen = asked.choose(left)
        assert chosen is not None
        value = dict(zip(map(json.dumps, open_), told / costs**left, strict=True))
        assert value[json.dumps(chosen)] == pytest.approx(max(value.values()))


def test_a_trial_costs_the_same_as_any_other_where_trials_are_limited_alone() -> None:
    """A cheap recipe is taken where FLOPs are limited, the one of the largest gain where trials are, and hours do."""
    asked = Asked()
    ended = [params for params in asked.every if params["pruning_ratio"] == 0.6]
    for params in ended:
        asked.end(params)
    costs = [flops(params) for params in asked.every]
    trials = Limits({"trials": 20.0}, {"trials": 20.0})
    assert asked.choose(1.0, trials) == asked.best(ended, ended, 0.0)
    both = Limits({"trials": 20.0, "flops": 1e3 * max(costs)}, {"trials": 10.0, "flops": 1e3 * max(costs)})
    assert asked.choose(1.0, both) == asked.best(ended, ended, 0.0)  # the trials will be used up first
    spent = Limits({"trials": 20.0, "flops": 1e3 * max(costs)}, {"trials": 10.0, "flops": min(costs)})
    assert asked.choose(1.0, spent) == asked.best(ended, ended, 1.0)
    hours = Limits({"trials": 1e9, "hours": 3600.0}, {"trials": 1e9, "hours": 3600.0})
    assert asked.choose(1.0, hours) == asked.best(ended, ended, 1.0)  # no time was reported: FLOPs stand for it


def test_then_it_takes_what_gains_most_for_its_compute() -> None:
    asked = Asked()
    ended = [params for params in asked.every if params["pruning_ratio"] == 0.6]  # the larger networks are open
    for params in ended:
        asked.end(params)
    chosen = [asked.choose(left) for left in (0.0, 0.5, 1.0)]
    assert chosen == [asked.best(ended, ended, left) for left in (0.0, 0.5, 1.0)]
    costs = [flops(params) for params in chosen if params]
    assert costs[2] < costs[0]  # a cheap one first, a dear one when compute no longer counts


def test_a_candidate_is_built_once_and_told_as_optuna_would_tell_it() -> None:
    asked = Asked()
    for params in [asked.every[index] for index in (3, 20, 9, 14, 1, 17)]:
        asked.end(params)
    candidate = asked.sampler.ask(SearchState(1.0, BASE))
    assert candidate is not None
    told = optuna.create_study()
    told.enqueue_trial(dict(candidate.params))
    trial = told.ask()
    assert propose(trial, asked.study) == candidate.recipe
    assert trial.params == candidate.params
    assert {name: distribution_to_json(one) for name, one in trial.distributions.items()} == candidate.distributions
    assert candidate.flops == flops(candidate.params)


def test_fixed_recipes_are_not_built_anew_for_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    study = load("digits", ["space.distillation={weight: [0.0, 0.5], teacher: [base, pgd_at_20]}"])
    asked = sampler(study)

    def built(*_: object) -> None:
        raise AssertionError("fixed recipes were built anew")

    monkeypatch.setattr("search.recipes.fixed.started_recipes", built)
    candidates = [asked.ask(SearchState(1.0, BASE)) for _ in range(8)]
    assert any(one is not None and one.recipe.distillation is not None for one in candidates)


def test_lessons_count_as_observations_of_recipes_that_may_run_again() -> None:
    every = Asked().every
    known = [every[index] for index in np.random.default_rng(1).choice(24, 12, replace=False)]
    past_trials: list[PastTrial] = [
        {"state": "complete", "params": params, "distributions": {}, "values": [accuracy(params), flops(params)]}
        for params in known
    ]
    past_trials.append({"state": "pruned", "params": every[0], "distributions": {}, "values": None})
    asked = Asked(past_trials=past_trials)
    for left in (0.0, 1.0):
        assert asked.choose(left) == asked.best(known, [], left)


def test_what_was_lost_teaches_nothing_and_is_not_proposed_again() -> None:
    asked = Asked()
    for params in asked.every[:12]:
        asked.end(params, EndKind.LOST)
    drawn = [asked.choose(0.0) for _ in range(60)]
    assert len({json.dumps(params) for params in drawn}) > 6  # still at random
    assert all(params in asked.every[12:] for params in drawn)
    for params in asked.every[12:]:
        asked.end(params)
    assert asked.choose(0.0) is None


def test_it_goes_through_a_space_once_and_ends() -> None:
    study = finite(*AWARE, *FEW, "space.schedule.epochs={low: 4, high: 8, levels: 2}", "budget.trials=100")
    simulated = simulate(study, made(study).of(study), VirtualCluster(workers=4, decision=0.0))
    proposed = [ending.proposal.recipe.id for ending in simulated.endings if ending.proposal.role == "proposed"]
    assert len(proposed) == len(set(proposed)) == 16


def test_it_keeps_away_from_what_breaks_a_constraint() -> None:
    """Those of 80% of the channels are the cheapest, and not clean enough."""
    settings = ["budget={trials: 144, flops: 3.0e+12}", "reference_point={robust_accuracy: 0.6 of reference}"]

    def pruned(*constraints: str) -> list[bool]:
        study = finite(*AWARE, *settings, *constraints)
        simulated = simulate(study, made(study).of(study), VirtualCluster(decision=0.0))
        params = [ending.proposal.params for ending in simulated.endings if ending.proposal.role == "proposed"]
        return [one["pruning_ratio"] > 0.7 for one in params]

    free, bound = pruned(), pruned("constraints=['clean_accuracy >= 0.85']")
    assert any(bound[:6])
    assert sum(bound[10:]) <= 1 < 3 <= sum(free[10:])


def test_it_must_be_told_what_recipes_cost() -> None:
    study = finite(*AWARE)
    with pytest.raises(TemperError, match="a cost-aware sampler must be told what recipes cost"):
        sampler_of(study, FixedRecipes.of(study))


@pytest.mark.slow
def test_it_finds_what_the_region_holds_and_with_less_compute_than_random_proposals() -> None:
    """Of 144 recipes 18 lie in the region: twenty proposals find nine tenths of it, forty random ones do not."""
    study = finite(*AWARE)
    points = [(accuracy(params), math.log10(flops(params))) for params in combinations(study)]
    bounds = study.reference_point.point(reference=0.8, base=BASE["robust_accuracy"], compute=REFERENCE)
    assert bounds is not None
    whole = hypervolume(np.array(points), bounds)

    def needed(kind: str, trials: int, seed: int, share: float) -> float:
        study = finite(*AWARE, f"sampler.kind={kind}", f"budget.trials={trials}", f"seed={seed}")
        curves = made(study).of(study)
        table = trace(simulate(study, curves, VirtualCluster(workers=2, decision=0.0)), study, curves)
        spent = table["flops"][table["hypervolume"] >= share * whole]
        return float(spent.min()) if len(spent) else math.inf

    drawn = [needed("random", 40, seed, 0.5) for seed in range(5)]
    aware = [needed("cost_aware", 20, seed, 0.5) for seed in range(5)]
    assert np.median(aware) < 0.5 * np.median(drawn) < math.inf
    assert max(needed("cost_aware", 20, seed, 0.9) for seed in range(5)) < math.inf
