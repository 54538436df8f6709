"""Budgets: each ends proposing when it is spent and not before; samplers: each proposes, and by its seed."""

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from analysis.run import extensions
from search.events import Listener, Outcome, Proposal
from search.monitoring.hypervolume import Hypervolume
from search.recipes.fixed import FixedRecipes
from search.running.budget import START, BudgetTracker
from search.samplers.ask_and_tell import OptunaSampler
from search.samplers.optuna_samplers import optuna_sampler
from search.study.algorithms import Budget
from search.study.loading import load
from tests.support.command import SMALL
from tests.support.searcher import Log, done, epoch, searcher
from trainables.errors import InvalidInput
from trainables.execution.ending import FINISHED

FIXED = list(FixedRecipes.of(load("digits", SMALL)))


class Notes(Listener):
    """Notes why nothing more is proposed."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def closed(self, reason: str) -> None:
        self.said.append(reason)


def proposal(role: Any, number: int = 0) -> Proposal:
    return Proposal(FIXED[number].recipe, role, None, number)


def complete(robust: float, flops: float) -> Outcome:
    return Outcome(FINISHED, {"robust_accuracy": robust, "train_flops": flops}, 1.0)


class Spent:
    """A budget, and the hypervolume that hears of what ends before it is asked."""

    def __init__(
        self,
        clock: list[float] | None = None,
        constraints: str = "[]",
        hours_before: float = 0.0,
        since: extensions.Spent = START,
        **budget: Any,
    ) -> None:
        times = clock or [0.0]
        study = load("digits", [*SMALL, f"constraints={constraints}"])
        self._hypervolume = Hypervolume.of(study, FixedRecipes.of(study))
        self._spending = BudgetTracker(Budget(**budget), self._hypervolume, lambda: times[0], hours_before, since)
        self.reported, self.over, self.limits = self._spending.reported, self._spending.over, self._spending.limits
        self.is_worth = self._spending.is_worth
        self.ended(proposal("base", 0), complete(0.1, 0.0))
        self.ended(proposal("baseline", 1), complete(0.8, 1e10))

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        for listener in (self._hypervolume, self._spending):
            listener.ended(proposal, outcome)


def test_hours() -> None:
    clock = [100.0]
    made = Spent(clock, hours=0.5)
    clock[0] += 1799
    assert made.over() is None
    clock[0] += 1
    assert made.over() == "0.5 hours are over"


def test_hours_of_the_sessions_before_count() -> None:
    clock = [100.0]
    made = Spent(clock, hours_before=0.4, hours=0.5)
    assert made.limits(20, 0).share_left == pytest.approx(0.2)
    clock[0] += 359
    assert made.over() is None
    clock[0] += 1
    assert made.over() == "0.5 hours are over"


def test_a_resumed_search_ends_when_its_hours_and_those_before_are_over() -> None:
    clock, notes = [1000.0], Notes()
    study = load("digits", [*SMALL, "budget.hours=2", "sampler.kind=random"])
    resumed = searcher(study, notes, clock=lambda: clock[0], hours_before=1.9)
    for number in range(5):  # base and baselines
        resumed.suggest(f"t{number}")
        resumed.on_trial_complete(f"t{number}", done(0.1 * number, 1e9))
    clock[0] += 359
    assert isinstance(resumed.suggest("t5"), dict)
    clock[0] += 1
    assert resumed.suggest("t6") == Searcher.FINISHED
    assert notes.said == ["2 hours are over"]


def test_flops_are_those_of_proposals_stopped_and_running_ones_too() -> None:
    made = Spent(flops=1e9)
    made.reported(proposal("baseline", 1), {"train_flops": 1e12})
    made.reported(proposal("proposed", 2), {"train_flops": 4e8})
    made.reported(proposal("proposed", 2), {"train_flops": 6e8})  # so far, not in addition
    assert made.over() is None
    made.reported(proposal("proposed", 3), {"train_flops": 4e8})
    assert made.over() == "proposals have spent 1e+09 FLOPs of 1e+09"


def test_a_teacher_that_a_baseline_trained_is_spent_by_no_student() -> None:
    made = Spent(flops=1e9)
    for number in (2, 3):
        taught = {"train_flops": 1e12 + 4e8, "planned_train_flops": 1e12 + 8e8, "flops_ancestors": 1e12}
        made.reported(proposal("proposed", number), taught)
    assert made.limits(10, 2).left["flops"] == -6e8
    assert made.over() is None
    made.reported(proposal("proposed", 3), {"train_flops": 1e12 + 6e8, "flops_ancestors": 1e12})
    assert made.over() == "proposals have spent 1e+09 FLOPs of 1e+09"


def test_patience_ends_after_so_many_without_hypervolume() -> None:
    made = Spent(patience=2)
    for robust, flops, over in (
        (0.7, 1e9, False),
        (0.65, 2e9, False),  # dominated: gains nothing
        (0.75, 2e9, False),  # gains
        (0.7, 3e9, False),
        (0.6, 1e8, True),  # cheaper, but it gives up more than a fifth of the reference's .8: gains nothing
    ):
        made.ended(proposal("proposed", 2), complete(robust, flops))
        assert (made.over() is not None) == over
    assert made.over() == "the last 2 finished proposals gained no hypervolume"


def test_what_runs_has_spent_its_whole_schedule_where_one_asks_what_is_left() -> None:
    made = Spent(flops=1e10)
    assert made.limits(10, 0).left["flops"] == 1e10
    made.reported(proposal("proposed", 2), {"epoch": 1, "train_flops": 1e9, "planned_train_flops": 4e9})
    assert made.limits(10, 1).left["flops"] == 6e9
    assert made.over() is None
    made.reported(proposal("proposed", 3), {"epoch": 1, "train_flops": 2e9})  # of an older version: nothing is planned
    assert made.limits(10, 2).left["flops"] == 4e9
    made.ended(proposal("proposed", 2), complete(0.5, 1e9))  # stopped early
    assert made.limits(10, 1).left["flops"] == 7e9
    made.reported(proposal("baseline", 1), {"epoch": 1, "train_flops": 5e9, "planned_train_flops": 5e9})
    assert made.limits(10, 1).left["flops"] == 7e9  # baselines are not of the budget


def test_a_search_has_converged_once_nothing_is_worth_a_tenth_of_what_was_found_and_nothing_runs() -> None:
    made, never = Spent(stop="converged"), Spent()
    assert made.is_worth(0.0)  # nothing was found yet
    for one in (made, never):
        one.ended(proposal("proposed", 2), complete(0.74, 1.1e9))  # 0.1 × one decade above the region's corner
    assert made.is_worth(0.101)
    assert made.over() is None
    assert not made.is_worth(0.099)
    assert made.over(pending=1) is None  # what runs may change it
    assert made.over() == "converged: a whole budget more is expected to gain less than 10% of the hypervolume found"
    made.ended(proposal("proposed", 3), complete(0.2, 1e9))
    assert made.over() is None
    assert never.is_worth(0.0)
    assert never.over() is None


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_only_a_sampler_that_models_the_gain_knows_when_it_has_converged(sampler: str) -> None:
    message = f"budget.stop: got converged with sampler.kind {sampler}, which does not model what a recipe would gain"
    with pytest.raises(InvalidInput, match=message):
        load("digits", [f"sampler.kind={sampler}", "budget.stop=converged"])


def test_an_extended_budget_is_shared_out_from_its_extension_on_and_so_is_patience() -> None:
    before = Spent(patience=2)
    after = Spent(since=extensions.Spent(trials=3, finished=3, flops=1e9), patience=2, flops=3e9)
    for made in (before, after):
        for _ in range(3):
            made.ended(proposal("proposed", 2), complete(0.7, 1e9))
    assert before.over() == "the last 2 finished proposals gained no hypervolume"
    assert after.over() is None
    after.reported(proposal("proposed", 3), {"train_flops": 1e9})  # spent before
    assert after.limits(20, 0).share_left == 1.0
    after.reported(proposal("proposed", 4), {"train_flops": 1.5e9})
    assert after.limits(20, 0).share_left == 0.25
    for _ in range(3):
        after.ended(proposal("proposed", 2), complete(0.7, 1e9))
    assert after.over() == "the last 2 finished proposals gained no hypervolume"


def test_patience_does_not_count_what_breaks_a_constraint() -> None:
    made = Spent(patience=1, constraints="['train_flops <= 3e9']")
    made.ended(proposal("proposed", 2), complete(0.7, 1e9))
    assert made.over() is None
    made.ended(proposal("proposed", 2), complete(0.9, 4e9))  # more robust, but too dear to be of use
    assert made.over() == "the last finished proposal gained no hypervolume"


def test_a_spent_budget_ends_proposing_and_says_why() -> None:
    log = Log(load("digits", [*SMALL, "budget.flops=1e9", "sampler.kind=tpe"]))
    notes = Notes()
    log.searcher.listeners.several.append(notes)
    for number in range(5):
        log.searcher.suggest(f"t{number}")
        log.searcher.on_trial_complete(f"t{number}", done(0.1 * number, 1e9) | {"train_flops": 1e10})
    assert isinstance(log.searcher.suggest("t5"), dict)
    log.searcher.on_trial_result("t5", epoch(1, train_flops=2e9))
    assert log.searcher.suggest("t6") == Searcher.FINISHED
    assert log.searcher.suggest("t6") == Searcher.FINISHED
    assert notes.said == ["proposals have spent 2e+09 FLOPs of 1e+09"]
    log.searcher.on_trial_complete("t5", done(0.5, 2e9) | {"train_flops": 2e9})
    assert isinstance(log.sampler, OptunaSampler)
    assert [trial.state for trial in log.sampler.optuna.get_trials()] == [TrialState.COMPLETE]


def test_who_asks_a_search_to_stop_gets_what_runs_and_the_baselines_and_nothing_more() -> None:
    asked, notes = list[str](), Notes()
    study = load("digits", [*SMALL, "sampler.kind=random"])
    asking = searcher(study, notes, asked_to_stop=lambda: asked[0] if asked else None)
    asking.suggest("t0")
    asked.append("asked to stop by ann on here")
    asking.on_trial_complete("t0", done(0.1, 1e9))
    for number in range(1, 5):  # the baselines, which a verdict needs
        found = asking.suggest(f"t{number}")
        assert isinstance(found, dict)
        assert found["role"] == "baseline"
        asking.on_trial_complete(f"t{number}", done(0.1 * number, 1e9))
    assert asking.suggest("t5") == Searcher.FINISHED
    assert notes.said == asked


SAMPLERS = {
    "tpe": optuna.samplers.TPESampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "nsga3": optuna.samplers.NSGAIIISampler,
    "gp": optuna.samplers.GPSampler,
    "random": optuna.samplers.RandomSampler,
    "quasi_random": optuna.samplers.QMCSampler,
}


@pytest.mark.parametrize("kind", SAMPLERS)
def test_every_sampler_proposes_and_repeats_by_its_seed(kind: str) -> None:
    settings = [*SMALL, f"sampler.kind={kind}", "sampler.startup_trials=2", "sampler.population=2", "budget.trials=5"]
    assert isinstance(optuna_sampler(load("digits", settings)), SAMPLERS[kind])

    def proposed(seed: int) -> list[str]:
        log = Log(load("digits", [*settings, f"seed={seed}"]))
        for number in range(10):
            assert isinstance(log.searcher.suggest(f"t{number}"), dict)
            log.searcher.on_trial_complete(f"t{number}", done(0.1 + number / 20, 1e9 * (10 - number)))
        return [str(one.params) for one in log.proposals if one.role == "proposed"]

    assert len(proposed(0)) == 5
    assert proposed(0) == proposed(0)
    assert proposed(0) != proposed(1)
