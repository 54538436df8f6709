"""A driver that hears its trials while networks are counted, and a sampler that is asked afterwards."""

import threading
import time

import pytest

from search.events import Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from search.surrogate.counting_ahead import DRAWN, CountingAhead
from trainables.execution.ending import FINISHED, Ending, EndKind
from trainables.recipe.recipe import Recipe

STUDY = load("digits")
FIXED = FixedRecipes.of(STUDY)
BASE = Proposal(FIXED.base.recipe, "base", "base", 0)
BASELINE = Proposal(FIXED.reference.recipe, "baseline", "pgd_at_20", 1)


def until_ready(counting: CountingAhead) -> None:
    give_up = time.monotonic() + 30
    while not counting.ready():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_counting_takes_no_time_of_the_thread_that_hears_events() -> None:
    go_on, asked, threads = threading.Event(), [], set()

    def costs(recipe: Recipe) -> float:
        go_on.wait(30)
        asked.append(recipe)
        threads.add(threading.current_thread())
        return 1.0

    counting = CountingAhead(STUDY, FIXED, costs)
    counting.ended(BASELINE, Outcome(FINISHED, {}, 1.0))
    assert not counting.ready()
    counting.ended(BASE, Outcome(FINISHED, {}, 1.0))  # would wait for ever if it counted here
    assert not counting.ready()
    go_on.set()
    until_ready(counting)
    assert threading.current_thread() not in threads
    assert len(asked) == DRAWN + 1
    assert asked[0] == FIXED.reference.recipe
    assert {recipe.base for recipe in asked[1:]} == {FIXED.base.recipe}
    counting.ended(BASE, Outcome(FINISHED, {}, 1.0))
    assert counting.ready()


def test_an_error_is_left_to_the_sampler() -> None:
    def costs(recipe: Recipe) -> float:
        raise ValueError("no such network")

    counting = CountingAhead(STUDY, FIXED, costs)
    counting.ended(BASE, Outcome(FINISHED, {}, 1.0))
    until_ready(counting)


@pytest.mark.parametrize("kind", [EndKind.DIVERGED, EndKind.LOST])
def test_a_base_that_was_lost_starts_nothing(kind: EndKind) -> None:
    counting = CountingAhead(STUDY, FIXED, lambda recipe: 1.0)
    counting.ended(BASE, Outcome(Ending(kind, "gone"), None, 1.0))
    time.sleep(0.05)
    assert not counting.ready()


def test_leaving_waits_for_the_network_that_is_counted_and_counts_no_other() -> None:
    counting_one, go_on, counted = threading.Event(), threading.Event(), []

    def costs(recipe: Recipe) -> float:
        counting_one.set()
        go_on.wait(30)
        counted.append(recipe)
        return 1.0

    with CountingAhead(STUDY, FIXED, costs) as counting:
        counting.ended(BASE, Outcome(FINISHED, {}, 1.0))
        assert counting_one.wait(30)
        threading.Timer(0.1, go_on.set).start()
    assert counting.ready()
    assert counted == [FIXED.reference.recipe]


def test_leaving_before_the_base_has_finished_waits_for_nothing() -> None:
    with CountingAhead(STUDY, FIXED, lambda recipe: 1.0) as counting:
        pass
    assert not counting.ready()
