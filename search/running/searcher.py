"""Optuna behind Ray Tune's Searcher interface: fixed recipes first, then proposals, and what became of each."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from ray.tune.search import Searcher

from analysis.run.trials import State
from search.events import Listener, Outcome, Proposal
from search.failures import tells_of_full_storage
from search.monitoring.hypervolume import Hypervolume
from search.recipes.fixed import Fixed, FixedRecipes
from search.resume.history import Remembered
from search.running.budget import Spending
from search.running.dependency_tracker import Known
from search.running.trial_results import outcome_of
from search.samplers.ask_and_tell import Proposer
from search.samplers.warm_start import Lesson
from search.study.resources import Role
from search.study.study import BASE, Study
from trainables.errors import StorageFull, TemperError
from trainables.recipe.recipe import Recipe

MOST_DUPLICATES = 50  # proposals in a row that were made before or cannot be; the space is exhausted then
MOST_HELD = 16  # proposals that wait for a teacher or base: asking for more would be asking without learning


class ParetoSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types
    """Emits base and baselines, each once what it builds on is there, and proposals of the study's sampler.

    What is fixed goes first; most proposals need the base only, so they fill the wait for a baseline's parent. One
    whose teacher or base has not finished is held back until it has, and another is asked meanwhile; if that is lost,
    Optuna is told FAIL, and the proposal's place in the budget is free again. Where the length of pretraining is
    searched, a base runs when it is first proposed.

    Its state is a function of the recipes proposed and their outcomes, so it is never saved.
    """

    def __init__(
        self,
        study: Study,
        fixed: FixedRecipes,
        listeners: Sequence[Listener],
        why_failed: Callable[[str], str | None] = lambda trial_id: None,
        why_stopped: Callable[[str], str | None] = lambda trial_id: None,
        learnt: Sequence[Lesson] = (),
        planned: Callable[[Recipe], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        has_place: Callable[[Mapping[Role, int], Role], bool] = lambda running, role: True,
        hours_before: float = 0.0,
    ) -> None:
        """Take a study and whom to tell.

        Args:
            study: what to search.
            fixed: its fixed recipes.
            listeners: told of everything, each before the next.
            why_failed: the error that ended a trial, by Tune's trial id.
            why_stopped: the scheduler's reason to end it.
            learnt: what earlier runs teach.
            planned: FLOPs that a recipe will have cost after its whole schedule, for a sampler that heeds them.
            clock: in seconds, for a budget of hours.
            has_place: whether the cluster has one for a trial of this role, beside so many of each that run or wait.
            hours_before: that drivers worked on the run before, for a budget of hours.
        """
        super().__init__()
        self._study = study
        self._spending = Spending(study.budget, Hypervolume.of(study, fixed), clock, hours_before)
        self._listeners = [*listeners, self._spending]
        self._why_failed, self._why_stopped, self._has_place = why_failed, why_stopped, has_place
        self._waiting: list[Fixed] = list(fixed)
        self._base = fixed.base.recipe.id
        self._held: list[tuple[Recipe, optuna.Trial]] = []
        self._running: dict[str, tuple[Proposal, optuna.Trial | None]] = {}
        self._known = Known()
        self._places: Counter[Role] = Counter()  # of what runs, and of what waits for a place
        self._left = study.budget.trials
        self._proposer = Proposer(study, fixed, learnt, planned)
        self._unfinished: list[tuple[Proposal, optuna.Trial | None]] = []
        self._numbers = itertools.count()

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Objectives and space come from the study, not from Tune."""
        return not metric and not config

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next recipe as `{"id", "role", "number", "recipe"}`, None while it must wait, or FINISHED."""
        self._drop_orphans()
        self._heed_budget()
        resumed = self._next_unfinished()
        if resumed is not None:
            return self._emit(trial_id, *resumed)
        made = self._next_fixed() or self._next_held() or self._next_proposal()
        if made is None:
            return Searcher.FINISHED if self._nothing_left() else None
        self._announce(made[0])
        return self._emit(trial_id, *made)

    def replay(self, past: Sequence[Remembered]) -> None:
        """Become what a searcher was that had proposed all this, and heard of its endings in their order.

        What has not ended is emitted again, first of all, without being announced.
        """
        trials: dict[str, optuna.Trial | None] = {}
        for one in past:
            proposal = one.proposal
            self._waiting = [fixed for fixed in self._waiting if fixed.recipe.id != proposal.recipe.id]
            trials[proposal.recipe.id] = self._proposer.again(proposal) if proposal.role == "proposed" else None
            self._left -= proposal.role == "proposed"
            self._known.announced(proposal.recipe.id)
            for row in one.history:
                self._spending.reported(proposal, row)
                if proposal.role == "proposed":
                    self._proposer.reported(proposal, row)
            if one.outcome is None:
                self._unfinished.append((proposal, trials[proposal.recipe.id]))
        for one in sorted(past, key=lambda one: one.order):
            if one.outcome is not None:
                self._known.ended(one.proposal, one.outcome)
                self._spending.ended(one.proposal, one.outcome)
                trial = trials[one.proposal.recipe.id]
                if trial is not None:
                    self._proposer.ended(one.proposal, one.outcome)
                    self._tell(trial, one.outcome)
        self._numbers = itertools.count(1 + max((one.proposal.number for one in past), default=-1))

    def _emit(self, trial_id: str, proposal: Proposal, trial: optuna.Trial | None) -> dict[str, Any]:
        self._running[trial_id] = proposal, trial
        self._places[proposal.role] += 1
        return {
            "id": proposal.recipe.id,
            "role": proposal.role,
            "number": proposal.number,
            "recipe": proposal.recipe.model_dump(mode="json"),
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass an epoch's row on. Optuna learns from what is finished only."""
        proposal, trial = self._running[trial_id]
        for listener in self._listeners:
            listener.reported(proposal, result)
        if trial is not None:
            self._proposer.reported(proposal, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record how a trial ended, then tell Optuna. Raises StorageFull for a loss that is none: it can be resumed."""
        failure = (self._why_failed(trial_id) or "failed without a message") if error else None
        if failure is not None and tells_of_full_storage(failure):
            raise StorageFull(failure)
        if result and not error and not result.get("failed"):
            self.on_trial_result(trial_id, result)
        proposal, trial = self._running.pop(trial_id)
        self._places[proposal.role] -= 1
        outcome = outcome_of(result, failure, self._study.objectives, self._why_stopped(trial_id))
        self._conclude(proposal, outcome)
        if trial is not None:
            self._proposer.ended(proposal, outcome)
            self._tell(trial, outcome)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles all that it is given once, and unpickles none of it unless it restores a tuner."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the run directory's trials/ is the record."""

    def restore(self, checkpoint_path: str) -> None:
        """Refused: state comes from trials/, never from a pickle."""
        raise TemperError(f"{checkpoint_path}: a searcher is rebuilt from trials/, not restored")

    def _announce(self, proposal: Proposal) -> None:
        self._known.announced(proposal.recipe.id)
        for listener in self._listeners:
            listener.proposed(proposal)

    def _conclude(self, proposal: Proposal, outcome: Outcome) -> None:
        self._known.ended(proposal, outcome)
        for listener in self._listeners:
            listener.ended(proposal, outcome)

    def _drop_orphans(self) -> None:
        """Conclude what builds on a recipe that ended without weights; proposals of it never began."""
        for fixed in list(self._waiting):
            reason = self._known.why_orphaned(fixed.recipe)
            if reason is not None:
                self._waiting.remove(fixed)
                proposal = self._proposal_of(fixed)
                self._announce(proposal)
                self._conclude(proposal, Outcome(State.FAIL, reason, None, 0.0))
        for held in list(self._held):
            if self._known.why_orphaned(held[0]) is not None:
                self._held.remove(held)
                self._proposer.forget(held[1])
                self._left += 1

    def _heed_budget(self) -> None:
        """Propose nothing more once the budget is spent, nor run what is held back."""
        reason = self._spending.over() if self._left or self._held else None
        if reason is not None:
            self._left = 0
            for listener in self._listeners:
                listener.closed(reason)
            while self._held:
                self._proposer.forget(self._held.pop()[1])

    def _proposal_of(self, fixed: Fixed) -> Proposal:
        return Proposal(fixed.recipe, fixed.role, fixed.name, next(self._numbers))

    def _next_unfinished(self) -> tuple[Proposal, optuna.Trial | None] | None:
        for one in self._unfinished:
            if self._known.is_ready(one[0].recipe) and self._fits(one[0].role):
                self._unfinished.remove(one)
                return one
        return None

    def _next_fixed(self) -> tuple[Proposal, None] | None:
        for fixed in self._waiting:
            if self._known.is_ready(fixed.recipe) and self._fits(fixed.role):
                self._waiting.remove(fixed)
                return self._proposal_of(fixed), None
        return None

    def _next_held(self) -> tuple[Proposal, optuna.Trial] | None:
        for held in self._held:
            if self._known.is_ready(held[0]) and self._fits("proposed"):
                self._held.remove(held)
                return self._proposed(*held)
        return None

    def _next_proposal(self) -> tuple[Proposal, optuna.Trial | None] | None:
        if self._known.state(self._base) is not State.COMPLETE or not self._left or not self._fits("proposed"):
            return None
        refused = 0
        while self._left and len(self._held) < MOST_HELD:
            recipe, trial = self._proposer.ask(self._share_left(), self._base_metrics, self._known.is_orphaned)
            held = any(recipe == other for other, _ in self._held)
            if recipe.id not in self._known and not held and self._known.why_orphaned(recipe) is None:
                self._proposer.accept(recipe, trial)
                self._left -= 1
                if self._known.is_ready(recipe):
                    return self._proposed(recipe, trial)
                self._held.append((recipe, trial))
                if base := self._new_base(recipe):
                    return self._proposal_of(base), None
                continue
            known = self._known.outcome(recipe.id)
            if known is None:
                # It is running or held: say nothing twice. Or its teacher is lost: nothing was learnt of it.
                self._proposer.forget(trial)
            else:
                self._tell(trial, known)
            refused += 1
            if refused == MOST_DUPLICATES:
                self._left = 0
        return None

    def _fits(self, role: Role) -> bool:
        return self._has_place(self._places, role)

    def _new_base(self, recipe: Recipe) -> Fixed | None:
        """What a proposal starts from, if nothing has asked for it before: a pretraining of another length."""
        base = recipe.base
        if base is None or base.id in self._known or any(base == fixed.recipe for fixed in self._waiting):
            return None
        return Fixed("base", f"{BASE}.{base.schedule.epochs}epochs", base)

    def _proposed(self, recipe: Recipe, trial: optuna.Trial) -> tuple[Proposal, optuna.Trial]:
        distributions = {name: distribution_to_json(one) for name, one in trial.distributions.items()}
        return Proposal(recipe, "proposed", None, next(self._numbers), trial.params, distributions), trial

    def _nothing_left(self) -> bool:
        """All was emitted, or what is left waits for a base that will never be."""
        lost = self._known.state(self._base) in (State.PRUNED, State.FAIL)
        return not self._waiting and not self._held and not self._unfinished and (lost or self._left == 0)

    def _tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        self._proposer.tell(trial, outcome, self._base_metrics)

    @property
    def _base_metrics(self) -> dict[str, float]:
        base = self._known.outcome(self._base)
        return (base.metrics if base else None) or {}

    def _share_left(self) -> float:
        """Of the budget that is spent fastest."""
        trials = self._study.budget.trials
        return min(self._left / trials, self._spending.left())
