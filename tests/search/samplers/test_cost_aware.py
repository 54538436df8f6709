"""The cost-aware sampler: what it prefers, what it avoids, and that it is a function of the record."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from optuna.trial import FixedTrial
from threadpoolctl import threadpool_limits

from analysis.run.trials import State
from search.events import Listener, Outcome, Proposal
from search.recipes.choosers import Draw
from search.recipes.fixed import FixedRecipes
from search.resume.history import Remembered
from search.running.searcher import ParetoSearcher
from search.samplers.acquisition import expected_gains
from search.samplers.cost_aware import Advisor
from search.samplers.gaussian_process import Seen, Surrogate
from search.samplers.warm_start import Lesson
from search.simulation.driver import simulate, trace
from search.simulation.recording import Curve
from search.simulation.virtual_cluster import Cluster, VirtualTrial
from search.study.study import Study
from tests.support.made_recordings import REFERENCE, accuracy, finite, flops, made
from tests.support.recipes import combinations, propose
from trainables.errors import TemperError
from trainables.recipe.recipe import Recipe

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


class Advised:
    """An advisor of the small study, and who tells it how recipes end."""

    def __init__(self, *settings: str, learnt: Sequence[Lesson] = ()) -> None:
        self.study = finite(*AWARE, *FEW, *settings)
        curves = made(self.study).of(self.study)
        self.advisor = Advisor(
            self.study, FixedRecipes.of(self.study), lambda recipe: curves[recipe].planned("train_flops"), learnt
        )
        self.every = list(combinations(self.study))

    def end(self, params: Params, state: State = State.COMPLETE) -> None:
        recipe = propose(FixedTrial(dict(params)), self.study)
        self.advisor.proposed(recipe, params)
        metrics = {"robust_accuracy": accuracy(params), "train_flops": flops(params)}
        self.advisor.ended(recipe, Outcome(state, None, metrics if state is State.COMPLETE else None, 1.0))

    def best(self, known: Sequence[Params], done: Sequence[Params], left: float) -> Params:
        """Of the recipes that are not done, by what is known, the one of the largest gain for its compute."""

        def place(params: Params) -> Mapping[str, float]:
            draw = Draw(np.random.default_rng(0), params)
            propose(draw, self.study)
            return draw.place

        open_ = [params for params in self.every if params not in done]
        seen = [Seen(place(params), 1.0, accuracy(params)) for params in known]
        mean, deviation = Surrogate(seen).predict(seen, [place(params) for params in open_])
        costs = np.log10([flops(params) for params in open_])
        front = np.array([(accuracy(params), math.log10(flops(params))) for params in done]).reshape(-1, 2)
        bounds = (BASE["robust_accuracy"], math.log10(1.1 * REFERENCE))
        gains = expected_gains(mean, deviation, costs, front, bounds)
        return open_[int(np.argmax(gains / 10 ** (left * costs)))]


def test_before_it_knows_enough_it_draws_by_one_over_compute() -> None:
    """Half of the recipes take three times as long: one to three while the budget is whole, one to one at its end."""
    advised = Advised(
        "space.compression.pruning_ratio={low: 0.2, high: 0.2}", "space.schedule.epochs={low: 4, high: 12, levels: 2}"
    )
    for left, share in ((1.0, 3 / 4), (0.0, 1 / 2)):
        drawn = [advised.advisor.choose(seed, left, BASE) for seed in range(120)]
        assert np.mean([params is not None and params["epochs"] == 4 for params in drawn]) == pytest.approx(
            share, abs=0.1
        )


def test_then_it_takes_what_gains_most_for_its_compute() -> None:
    advised = Advised()
    ended = [params for params in advised.every if params["pruning_ratio"] == 0.6]  # the larger networks are open
    for params in ended:
        advised.end(params)
    chosen = [advised.advisor.choose(0, left, BASE) for left in (0.0, 0.5, 1.0)]
    assert chosen == [advised.best(ended, ended, left) for left in (0.0, 0.5, 1.0)]
    costs = [flops(params) for params in chosen if params]
    assert costs[2] < costs[0]  # a cheap one first, a dear one when compute no longer counts


def test_being_asked_in_between_leaves_no_trace() -> None:
    asked, silent = Advised(), Advised()
    for params in [asked.every[index] for index in (3, 20, 9, 14, 1, 17)]:  # as many as make the start-up
        asked.advisor.choose(0, 1.0, BASE)
        asked.end(params)
        silent.end(params)
    for left in (0.0, 0.25, 0.5, 0.75, 1.0):
        assert asked.advisor.choose(0, left, BASE) == silent.advisor.choose(0, left, BASE)


def test_lessons_count_as_observations_of_recipes_that_may_run_again() -> None:
    every = Advised().every
    known = [every[index] for index in np.random.default_rng(1).choice(24, 12, replace=False)]
    learnt: list[Lesson] = [
        {"state": "complete", "params": params, "distributions": {}, "values": [accuracy(params), flops(params)]}
        for params in known
    ]
    learnt.append({"state": "pruned", "params": every[0], "distributions": {}, "values": None})
    advised = Advised(learnt=learnt)
    for left in (0.0, 1.0):
        assert advised.advisor.choose(0, left, BASE) == advised.best(known, [], left)


def test_what_was_lost_teaches_nothing_and_is_not_proposed_again() -> None:
    advised = Advised()
    for params in advised.every[:12]:
        advised.end(params, State.FAIL)
    drawn = [advised.advisor.choose(seed, 0.0, BASE) for seed in range(60)]
    assert len({json.dumps(params) for params in drawn}) > 6  # still at random
    assert all(params in advised.every[12:] for params in drawn)
    for params in advised.every[12:]:
        advised.end(params)
    assert advised.advisor.choose(0, 0.0, BASE) is None


def test_it_goes_through_a_space_once_and_ends() -> None:
    study = finite(*AWARE, *FEW, "space.schedule.epochs={low: 4, high: 8, levels: 2}", "budget.trials=100")
    simulated = simulate(study, made(study).of(study), Cluster(workers=4, decision=0.0))
    proposed = [ending.proposal.recipe.id for ending in simulated.endings if ending.proposal.role == "proposed"]
    assert len(proposed) == len(set(proposed)) == 16


class Record(Listener):
    """The record of a search, as a run directory keeps it."""

    def __init__(self) -> None:
        self.past: dict[str, Remembered] = {}
        self._orders = itertools.count()

    def proposed(self, proposal: Proposal) -> None:
        self.past[proposal.recipe.id] = Remembered(proposal, None, -1, ())

    def reported(self, proposal: Proposal, row: dict[str, Any]) -> None:
        one = self.past[proposal.recipe.id]
        self.past[proposal.recipe.id] = Remembered(proposal, None, -1, (*one.history, row))

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        history = self.past[proposal.recipe.id].history
        self.past[proposal.recipe.id] = Remembered(proposal, outcome, next(self._orders), history)


class Search:
    """A search of three trials at once, the first of which ends at each step while the others get on by an epoch."""

    def __init__(self, study: Study, curves: Mapping[Recipe, Curve], past: Sequence[Remembered] = ()) -> None:
        self.record, self._curves, self._ids = Record(), curves, itertools.count()
        planned = {recipe: curve.planned("train_flops") for recipe, curve in curves.items()}
        self.searcher = ParetoSearcher(
            study, FixedRecipes.of(study), [self.record], planned=planned.__getitem__, clock=lambda: 0.0
        )
        self.running: list[VirtualTrial] = []
        if past:
            self.searcher.replay(past)

    def suggest(self) -> str:
        """The id of the next recipe."""
        trial_id = str(next(self._ids))
        suggestion = self.searcher.suggest(trial_id)
        assert isinstance(suggestion, dict)
        recipe = Recipe.model_validate(suggestion["recipe"])
        self.running.append(VirtualTrial(trial_id, suggestion, self._curves[recipe]))
        return recipe.id

    def step(self) -> None:
        first, *rest = self.running
        self.running = rest
        for trial in rest:
            if not trial.is_last:
                self.searcher.on_trial_result(trial.trial_id, trial.result())
                trial.epoch += 1
        while not first.is_last:
            self.searcher.on_trial_result(first.trial_id, first.result())
            first.epoch += 1
        self.searcher.on_trial_complete(first.trial_id, first.result())


@pytest.mark.parametrize("settings", [[], ["halving={}", "constraints=['clean_accuracy >= 0.85']"]])
def test_a_search_that_is_replayed_goes_on_as_it_would_have(settings: list[str]) -> None:
    study = finite(*AWARE, "budget.trials=144", *settings)
    curves = made(study).of(study)
    for recipe in [recipe for recipe in curves if recipe.schedule.epochs == 16]:  # some diverge
        curves[recipe] = Curve(curves[recipe].rows[:5], "diverged: loss is nan", {}, 0.0)
    search = Search(study, curves)
    for _ in range(3):
        search.suggest()
    while search.running[0].config["role"] != "proposed":
        search.step()
        search.suggest()
    for ended in range(1, 12):
        search.step()
        past = list(search.record.past.values())
        new = search.suggest()
        if ended in (3, 6, 7, 11):  # before, at and after the end of the start-up
            again = Search(study, curves, past)
            unfinished = [one.proposal.recipe.id for one in past if one.outcome is None]
            assert [again.suggest() for _ in unfinished] == unfinished
            assert again.suggest() == new


def test_it_keeps_away_from_what_breaks_a_constraint() -> None:
    """Those of 80% of the channels are the cheapest, and not clean enough."""

    def pruned(*settings: str) -> list[bool]:
        study = finite(*AWARE, "budget.trials=22", *settings)
        simulated = simulate(study, made(study).of(study), Cluster(decision=0.0))
        params = [ending.proposal.params for ending in simulated.endings if ending.proposal.role == "proposed"]
        return [one["pruning_ratio"] > 0.7 for one in params]

    free, bound = pruned(), pruned("constraints=['clean_accuracy >= 0.85']")
    assert any(bound[:6])
    assert sum(bound[10:]) <= 1 < 3 <= sum(free[10:])


def test_it_must_be_told_what_recipes_cost() -> None:
    study = finite(*AWARE)
    with pytest.raises(TemperError, match="a cost-aware sampler must be told what recipes cost"):
        ParetoSearcher(study, FixedRecipes.of(study), [])


@pytest.mark.slow
def test_it_reaches_a_hypervolume_with_less_compute_than_random_proposals() -> None:
    def needed(kind: str, trials: int, seed: int) -> float:
        study = finite(*AWARE, f"sampler.kind={kind}", f"budget.trials={trials}", f"seed={seed}")
        curves = made(study).of(study)
        table = trace(simulate(study, curves, Cluster(workers=2, decision=0.0)), study, curves)
        return float(table["flops"][table["hypervolume"] >= 0.9].min())

    aware = [needed("cost_aware", 20, seed) for seed in range(5)]
    drawn = [needed("random", 40, seed) for seed in range(5)]
    assert np.median(np.nan_to_num(aware, nan=np.inf)) < 0.5 * np.median(np.nan_to_num(drawn, nan=np.inf))
