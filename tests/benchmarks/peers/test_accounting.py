"""Searches on a table: what they run, spend and find, the same for every optimizer."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from search.simulation.driver import simulate, trace
from search.simulation.virtual_cluster import VirtualCluster
from search.study.algorithms import Budget as SearchBudget
from search.study.algorithms import Sampler
from tests.benchmarks.peers.accounting import Step, after_trials, grown, reached, search
from tests.benchmarks.peers.optimizers import temper
from tests.benchmarks.peers.optimizers.peer import Budget, Left, Maker, Peer, Result, Suggestion, Task
from tests.benchmarks.peers.tables.recordings import recorded_table, recording_of
from tests.benchmarks.peers.tables.table import Params
from tests.benchmarks.peers.tables.toy import cost, score, toy_table

LONG: Params = {"length": 8, "rate": 0.1, "attack": "fgsm"}
SHORT: Params = {"length": 1, "rate": 0.1, "attack": "fgsm"}


class Scripted:
    """Suggests what it was given, and keeps what it is told."""

    def __init__(self, suggestions: Sequence[Suggestion]) -> None:
        self._suggestions = list(suggestions)
        self.lefts: list[float] = []
        self.results: list[Result] = []

    def ask(self, left: Left) -> Suggestion:
        self.lefts.append(left.share)
        return self._suggestions.pop(0)

    def tell(self, result: Result) -> None:
        self.results.append(result)


def maker(peer: Peer) -> Maker:
    def make(task: Task) -> Peer:
        return peer

    return make


def test_a_budget_of_trials_ends_a_search_and_a_suggestion_that_has_run_is_moved() -> None:
    table, peer = toy_table(), Scripted([Suggestion(LONG)] * 3)
    steps = search(table, maker(peer), Budget(trials=3), seed=0)
    assert len({step.entry for step in steps}) == len(steps) == 3
    assert peer.lefts == pytest.approx([1, 2 / 3, 1 / 3])
    assert [step.spent for step in steps] == [cost(table.entries[step.entry].params) for step in steps]
    first, *moved = peer.results
    assert (first.params, first.score) == (LONG, score(LONG))
    assert first.decades == pytest.approx(np.log10(cost(LONG)))
    assert {one.params["rate"] for one in moved} == {0.03, 0.3}


def test_a_budget_of_cost_is_spent_by_the_recipe_that_begins_within_it() -> None:
    table, peer = toy_table(), Scripted([Suggestion(SHORT), Suggestion(LONG), Suggestion(LONG)])
    steps = search(table, maker(peer), Budget(trials=9, spent=500.0), seed=0)
    assert [step.spent for step in steps] == [100, 800]
    assert peer.lefts == pytest.approx([1, 0.8])


def test_a_recipe_that_is_trained_in_parts_is_paid_once_and_counts_when_it_has_finished() -> None:
    table = toy_table()
    parts = [Suggestion(LONG, 0.2), Suggestion(SHORT), Suggestion(LONG, 1.0, goes_on=True)]
    steps = search(table, maker(Scripted(parts)), Budget(trials=2), seed=0)
    assert [(step.spent, step.share, step.finished) for step in steps] == [
        (400, 0.5, False),
        (100, 1.0, True),
        (400, 1.0, True),
    ]
    spent, found = grown(table, steps)
    assert spent == pytest.approx(np.array([400, 500, 900]) / table.budget)
    # Above .15 and below 10,000: SHORT scores .2 at 100, LONG .5 at 800.
    short, both = 0.05 * 2, 0.05 * 2 + 0.3 * (4 - math.log10(800))
    assert found * table.best == pytest.approx([0, short, both])


def test_a_search_ends_when_every_recipe_has_run() -> None:
    table = toy_table()
    steps = search(table, maker(Scripted([Suggestion(LONG)] * 40)), Budget(trials=99), seed=0)
    assert sorted(step.entry for step in steps) == list(range(40))
    assert grown(table, steps)[1][-1] == pytest.approx(1)


def test_reached_counts_only_within_the_budget() -> None:
    spent, found = np.array([0.2, 0.9, 1.1]), np.array([0.1, 0.8, 1.0])
    assert reached(spent, found, 0.8) == 0.9
    assert reached(spent, found, 0.95) == math.inf


def test_after_trials_counts_recipes_and_not_steps() -> None:
    steps = [Step(0, 0.5, 1, False), Step(1, 1, 1, True), Step(0, 1, 1, True), Step(2, 1, 1, True)]
    found = np.array([0.0, 0.1, 0.4, 0.7])
    assert [after_trials(steps, found, count) for count in (0, 1, 2, 3, 9)] == [0.0, 0.0, 0.4, 0.7, 0.7]


def test_a_simulated_search_is_counted_as_the_product_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    table, recording = recorded_table("digits"), recording_of("digits")
    monkeypatch.setattr(temper, "KIND", "random")
    steps = temper.simulated("digits", table, Budget(trials=99, spent=table.budget / 2), seed=3)
    budget = SearchBudget(trials=99, flops=table.budget / 2)
    changed = {"seed": 3, "sampler": Sampler(kind="random"), "budget": budget}
    study = recording.study.model_copy(update=changed)
    curves = recording.of(study)
    expected = trace(simulate(study, curves, VirtualCluster(decision=0.0)), study, curves)
    spent, found = grown(table, steps)
    assert len(expected) == len(steps) > 20
    assert spent * table.budget == pytest.approx(expected["flops"].to_numpy())
    assert found * table.best == pytest.approx(expected["hypervolume"].to_numpy())
    assert found[-1] > 0
