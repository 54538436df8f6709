"""A resumed search is the unbroken one: for every sampler, wherever it was killed, with one worker or several."""

import gc
import itertools

import pytest

from search.events import Asked, Listener, Outcome, Proposal, Row
from search.resume.history import RememberedTrial
from search.resume.replay import replay
from search.simulation.recording import Curve
from search.study.algorithms import SAMPLERS
from tests.support.made_recordings import finite, made
from tests.support.replayed_search import Search
from tests.support.searcher import searcher
from trainables.execution.ending import FINISHED, Ending
from trainables.recipe.recipe import Recipe

FEW = "space.perturbation={kind: [n_fgsm, pgd], epsilon: {low: 0.1, high: 0.2, levels: 2}}"
FEW_EPOCHS = "space.schedule.epochs={low: 4, high: 8, levels: 2}"
HALVED = "halving={reduction_factor: 2, grace: 0.25}"


def settings(kind: str) -> list[str]:
    """Populations and beginnings so short that each sampler comes to what it does in the long run."""
    startup = 2 if kind == "gp" else 4
    return [f"sampler={{kind: {kind}, startup_trials: {startup}, population: 4}}", FEW]


def outcome(search: Search) -> list[tuple[str, object]]:
    while not search.over:
        search.step()
    return [(recipe, dict(params)) for recipe, params in search.proposals()]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_resumed_search_is_the_unbroken_one(kind: str, workers: int) -> None:
    trials = 6 if kind == "gp" else 16  # the asks of a Gaussian process take a second each
    study = finite(*settings(kind), f"budget.trials={trials}")
    curves = made(study).of(study)
    for recipe in list(curves)[2::7]:  # some diverge
        if recipe.base is not None:
            curves[recipe] = Curve(curves[recipe].rows[:2], "diverged: loss is nan", {}, 0.0)
    whole = outcome(Search(study, curves, workers))
    assert len(whole) >= trials
    assert len({recipe for recipe, _ in whole}) == len(whole)
    for kill in (35,) if kind == "gp" else (11, 40, 71):
        search = Search(study, curves, workers)
        for _ in range(kill):
            search.step()
        past = list(search.record.past.values())
        assert outcome(Search(study, curves, workers, past)) == whole, kill


@pytest.mark.parametrize("kind", ["cost_aware", "tpe", "nsga2"])
def test_a_resumed_search_with_halving_is_the_unbroken_one_trial_by_trial(kind: str) -> None:
    study = finite(*settings(kind), HALVED, "budget.trials=20")
    curves = made(study).of(study)
    whole = Search(study, curves, 1)
    expected = outcome(whole)
    stopped = [one for one in whole.record.past.values() if one.outcome and one.outcome.state == "pruned"]
    assert 0 < len(stopped) < 16
    for kill in (40, 70):
        search = Search(study, curves, 1)
        for _ in range(kill):
            search.step()
        assert outcome(Search(study, curves, 1, list(search.record.past.values()))) == expected


def test_a_resumed_search_converges_where_the_unbroken_one_did() -> None:
    study = finite(*settings("cost_aware"), FEW_EPOCHS, "budget={trials: 30, stop: converged}")
    curves = made(study).of(study)
    pasts, whole = [], Search(study, curves, 2)
    while not whole.over:
        whole.step()
        pasts.append(list(whole.record.past.values()))
    assert 8 < len(whole.proposals()) < 30  # 3 fixed recipes and 30 proposals where it does not converge
    for past in (pasts[-12], pasts[-1]):
        assert outcome(Search(study, curves, 2, past)) == outcome(whole)


def test_a_search_can_be_killed_twice() -> None:
    study = finite(*settings("nsga2"), "budget.trials=16")
    curves = made(study).of(study)
    whole = outcome(Search(study, curves, 2))
    past: list[RememberedTrial] = []
    for _ in range(2):
        search = Search(study, curves, 2, past)
        for _ in range(30):
            search.step()
        past = list(search.record.past.values())
    assert outcome(Search(study, curves, 2, past)) == whole


def test_a_search_that_is_resumed_with_a_smaller_budget_than_it_spent_proposes_nothing_more() -> None:
    study = finite(*settings("random"), "budget.trials=8")
    curves = made(study).of(study)
    whole = Search(study, curves, 1)
    expected = outcome(whole)
    fewer = finite(*settings("random"), "budget.trials=4")
    assert outcome(Search(fewer, curves, 1, list(whole.record.past.values()))) == expected


class Heard(Listener):
    """What a listener hears, in words."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def proposed(self, proposal: Proposal) -> None:
        self.words.append(f"proposed {proposal.number}")

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        self.words.append(f"epoch {row['epoch']} of {proposal.number}{'' if ending is None else ', its last'}")

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        self.words.append(f"ended {proposal.number}")


class LiveOnly(Heard):
    live_only = True


def past() -> list[RememberedTrial]:
    """Three trials: the second was asked for after the first had ended, the third before the second had."""
    study = finite()
    recipes = itertools.islice(made(study).of(study), 3)

    def trial(number: int, recipe: Recipe, endings: int | None, order: int, epochs: int) -> RememberedTrial:
        asked = None if endings is None else Asked(64 * number, endings)
        proposal = Proposal(recipe, "proposed", None, number, {}, {}, asked)
        ended = None if order < 0 else Outcome(FINISHED, {}, 1.0)
        return RememberedTrial(proposal, ended, order, tuple({"epoch": epoch} for epoch in range(1, epochs + 1)))

    first, second, third = recipes
    return [trial(0, first, 0, 0, 1), trial(1, second, 1, 1, 2), trial(2, third, 1, -1, 1)]


def test_listeners_hear_the_past_in_the_order_in_which_samplers_did() -> None:
    heard, live = Heard(), LiveOnly()
    replay(past(), [heard, live])
    assert live.words == []
    assert heard.words == [
        "proposed 0", "epoch 1 of 0, its last", "ended 0", "proposed 1", "epoch 1 of 1", "epoch 2 of 1, its last",
        "proposed 2", "epoch 1 of 2", "ended 1",
    ]  # fmt: skip


def test_of_runs_that_did_not_record_asks_all_endings_come_last() -> None:
    old = [
        RememberedTrial(Proposal(one.proposal.recipe, "proposed", None, number), one.outcome, one.order, one.history)
        for number, one in enumerate(past())
    ]
    heard = Heard()
    replay(old, [heard])
    assert [word for word in heard.words if not word.startswith("epoch")] == [
        "proposed 0", "proposed 1", "proposed 2", "ended 0", "ended 1",
    ]  # fmt: skip


class Resting(Listener):
    """Notes whether the garbage collector looks for garbage while the past is told."""

    def __init__(self) -> None:
        self.collecting: set[bool] = set()

    def proposed(self, proposal: Proposal) -> None:
        self.collecting.add(gc.isenabled())


def test_of_epochs_those_are_told_that_heed_any_and_no_garbage_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def unheeded(*event: object) -> None:
        raise AssertionError("it heeds no epoch")

    heard, resting = Heard(), Resting()
    monkeypatch.setattr(Listener, "reported", unheeded)
    replay(past(), [resting, heard])
    assert sum(word.startswith("epoch") for word in heard.words) == 4
    assert resting.collecting == {False}


class HeardOfLast(Heard):
    last_epoch_only = True


def test_some_are_told_the_last_epoch_of_each_trial_alone() -> None:
    heard = HeardOfLast()
    replay(past(), [heard])
    assert [word for word in heard.words if word.startswith("epoch")] == [
        "epoch 1 of 0, its last", "epoch 2 of 1, its last", "epoch 1 of 2",
    ]  # fmt: skip


def test_only_what_still_runs_is_planned_anew() -> None:
    study = finite(*settings("cost_aware"), "budget.trials=8")
    curves = made(study).of(study)
    search = Search(study, curves, 2)
    for _ in range(40):
        search.step()
    past = list(search.record.past.values())
    running = [one.proposal.recipe for one in past if one.outcome is None and one.proposal.role == "proposed"]
    planned: list[Recipe] = []

    def plan(recipe: Recipe) -> dict[str, float]:
        planned.append(recipe)
        return {"train_flops": curves[recipe].planned("train_flops")}

    searcher(study, cost=plan).replay(past)
    assert 0 < len(running) < sum(one.proposal.role == "proposed" for one in past)
    assert planned == running
