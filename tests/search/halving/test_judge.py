"""Early stopping of proposals: where rungs lie, who is compared by what, and which rungs are believed."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.tune.schedulers import TrialScheduler

from search.events import Outcome, Proposal
from search.halving.judge import Judge
from search.halving.scheduler import ParetoHalving
from search.resume.history import RememberedTrial
from search.resume.replay import replay
from search.study.algorithms import Halving
from search.study.loading import load
from tests.support.command import SMALL
from tests.support.run_directories import recipe as fine_tuned
from tests.support.searcher import Log
from trainables.errors import InvalidInput
from trainables.execution.ending import FINISHED, Ending, EndKind
from trainables.recipe.recipe import Recipe

OBJECTIVES = ("robust_accuracy", "train_flops")


def row(epoch: int, robust: float | None, planned: float = 1e9) -> dict[str, Any]:
    return {"epoch": epoch, "robust_accuracy": robust, "planned_train_flops": planned}


def judge(**settings: Any) -> Judge:
    return Judge(Halving(**settings), OBJECTIVES)


def test_rungs_lie_at_equal_shares_of_each_schedule() -> None:
    one = judge(grace=0.25, reduction_factor=2)  # at 25% and 50%
    assert [ladder.shares for ladder in one.ladders] == [(0.25, 0.5)]
    for epochs, rungs in ((4, {1, 2}), (8, {2, 4}), (12, {3, 6}), (20, {5, 10})):
        judged = judge(grace=0.25, reduction_factor=2)
        judged.report("first", 0, 4, row(1, 0.9, 1e8))
        judged.report("first", 0, 4, row(2, 0.9, 1e8))
        worse = [row(epoch, 0.1 - epoch / 1000, 1e9 + epoch) for epoch in range(1, epochs)]
        stops = {one["epoch"] for one in worse if judged.report(f"e{one['epoch']}", 1, epochs, one)}
        assert {min(epoch for epoch in range(1, epochs) if epoch / epochs >= level) for level in (0.25, 0.5)} == rungs
        assert stops == set(range(min(rungs), epochs))  # each is new, so that it arrives wherever it is seen first


def test_a_worse_and_dearer_proposal_is_stopped_with_the_reason() -> None:
    one = judge()
    assert one.report("a", 0, 8, row(2, 0.6, 1e9)) is None
    assert one.report("b", 1, 8, row(1, 0.1, 2e9)) is None  # within its grace
    reason = "stopped at 25% of its schedule: not among the first 33% of 2 there"
    assert one.report("b", 1, 8, row(2, 0.5, 2e9)) == Ending(EndKind.STOPPED, reason)
    assert one.report("c", 2, 8, row(2, 0.7, 3e9)) is None  # dearer, and the most robust
    assert one.report("d", 3, 8, row(2, 0.9, 1e8)) is None  # better and cheaper than all


def test_short_schedules_last_epochs_and_missing_scores_are_left_alone() -> None:
    one = judge()
    one.report("best", 0, 8, row(2, 0.9, 1.0))
    assert one.report("short", 1, 3, row(1, 0.1)) is None
    assert one.report("short", 1, 3, row(2, 0.1)) is None
    assert one.report("last", 2, 8, row(8, 0.1)) is None
    assert one.report("none", 3, 8, row(2, None)) is None
    assert one.report("worse", 4, 8, row(2, 0.1)) is not None


def test_a_retry_is_judged_once_at_a_rung() -> None:
    one = judge()
    assert one.report("a", 0, 8, row(2, 0.6)) is None
    assert one.report("a", 0, 8, row(2, 0.6)) is None
    assert one.ladders[0].scores[0] == {"a": 0.6}


def test_a_rung_that_does_not_predict_stops_nobody() -> None:
    for sign, believed in ((1, True), (-1, False)):
        one = judge(trusted_after=20)
        for number in range(20):  # each cheaper and worse than the one before: nobody dominates
            one.report(f"r{number}", number, 8, row(2, 0.9 - number / 100, 1e9 - number))
            finished = Proposal(cast(Recipe, SimpleNamespace(id=f"r{number}")), "proposed", None, number)
            one.ended(finished, Outcome(FINISHED, {"robust_accuracy": 0.5 - sign * number / 100}, 1.0))
        count, correlation = one.ladders[0].correlation(0, one.final)
        assert count == 20
        assert correlation == pytest.approx(sign)
        assert (one.report("bad", 20, 8, row(2, 0.1, 1e12)) is not None) == believed


def test_brackets_deal_proposals_to_ladders_in_turn() -> None:
    one = judge(grace=0.1, brackets=2)  # rungs at 10%, 30%, 90%; and without the first
    assert [ladder.shares for ladder in one.ladders] == [pytest.approx((0.1, 0.3, 0.9)), pytest.approx((0.3, 0.9))]
    one.report("a", 0, 10, row(1, 0.9, 1.0))
    assert one.report("b", 2, 10, row(1, 0.1)) is not None
    assert one.report("c", 3, 10, row(1, 0.1)) is None  # its bracket has no rung so early


def test_replayed_it_knows_what_it_knew() -> None:
    recipe = Recipe.model_validate(fine_tuned(epochs=8))
    rows = (row(1, 0.4), row(2, 0.5))  # the second is at the rung

    def replayed(ending: Ending | None) -> tuple[dict[str, float], list[bool]]:
        one, proposal = judge(), Proposal(recipe, "proposed", None, 0)
        outcome = None if ending is None else Outcome(ending, None, 1.0)
        replay([RememberedTrial(proposal, outcome, 0, rows)], [one])
        return one.ladders[0].scores[0], one._rungs[0][0].kept

    assert replayed(Ending(EndKind.STOPPED, "stopped at 25%")) == ({recipe.id: 0.5}, [False])
    assert replayed(None) == ({recipe.id: 0.5}, [True])
    assert replayed(Ending(EndKind.OVERFITTED, "in epoch 2")) == ({}, [])  # it ended before anybody was asked


def trial(role: str, number: int) -> Any:
    config = {"id": f"r{number}", "role": role, "number": number, "recipe": {"schedule": {"epochs": 8}}}
    return SimpleNamespace(trial_id=f"t{number}", config=config)


def test_only_proposals_are_stopped() -> None:
    scheduler = ParetoHalving(judge())
    best = trial("proposed", 0)
    assert scheduler.on_trial_result(None, best, row(2, 0.9, 1.0)) == TrialScheduler.CONTINUE
    for role in ("base", "baseline", "grid", "confirm"):
        assert scheduler.on_trial_result(None, trial(role, 1), row(2, 0.1)) == TrialScheduler.CONTINUE
    assert scheduler.on_trial_result(None, trial("proposed", 2), row(2, 0.1)) == TrialScheduler.STOP
    assert list(scheduler.stops) == ["t2"]
    assert ParetoHalving(None).on_trial_result(None, trial("proposed", 3), row(2, 0.1)) == TrialScheduler.CONTINUE


def test_the_judge_hears_what_finished() -> None:
    one, recipe = judge(), Recipe.model_validate(fine_tuned(epochs=8))
    metrics = {"robust_accuracy": 0.5, "train_flops": 1e9}
    one.ended(Proposal(recipe, "baseline", "b", 0), Outcome(FINISHED, metrics, 1.0))
    one.ended(Proposal(recipe, "proposed", None, 1), Outcome(Ending(EndKind.DIVERGED, "diverged: …"), None, 1.0))
    assert one.final == {}
    one.ended(Proposal(recipe, "proposed", None, 1), Outcome(FINISHED, metrics, 1.0))
    assert one.final == {recipe.id: 0.5}


def test_what_it_decided_it_hears_again_without_effect() -> None:
    one, recipe = judge(), Recipe.model_validate(fine_tuned(epochs=8))
    proposal = Proposal(recipe, "proposed", None, 0)
    assert one.report(recipe.id, 0, 8, row(2, 0.5)) is None
    one.reported(proposal, row(2, 0.5))
    assert one._rungs[0][0].kept == [True]
    one.reported(Proposal(recipe, "baseline", "b", 1), row(3, 0.5))
    assert one._rungs[0][0].kept == [True]


def test_a_suggestion_says_its_role_and_number() -> None:
    log = Log(load("digits", SMALL))
    made = log.searcher.suggest("t0")
    assert isinstance(made, dict)
    assert (made["role"], made["number"], made["id"]) == ("base", 0, log.proposals[0].recipe.id)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(InvalidInput, match=r"halving.grace: got 0, expected a number in \(0, 1\)"):
        load("digits", ["halving.grace=0"])
