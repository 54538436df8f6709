"""Tells Ray Tune which recipe runs next: first the fixed ones, then a sampler's proposals."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ray.tune.search import Searcher

from analysis.run.extensions import Spent
from search.events import Asked, Listener, Listeners, Outcome, Proposal
from search.failures import check_machine
from search.monitoring.hypervolume import Hypervolume
from search.recipes.fixed import Fixed, FixedRecipes
from search.resume.history import RememberedTrial
from search.resume.replay import replay
from search.running.budget import START, BudgetTracker
from search.running.dependency_tracker import DependencyTracker
from search.running.losses import Losses
from search.running.trial_results import outcome_of
from search.samplers.sampler import Candidate, Restoring, Sampler, SearchState
from search.study.resources import Role
from search.study.space import BASE
from search.study.study import Study
from trainables.collector import paused
from trainables.errors import TemperError
from trainables.execution.ending import Ending, EndKind, State
from trainables.execution.report import Report
from trainables.recipe.recipe import Recipe

MOST_DUPLICATES = 50  # candidates in a row that were proposed before or can never run; the space is exhausted then
MOST_HELD = 16  # proposals that wait for a base or teacher; to ask for more would be to ask before learning from any
UNEXPLAINED = Ending(EndKind.LOST, "failed without a message")
_Waits = TypeVar("_Waits", Proposal, Fixed, Candidate)


class ParetoSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types
    """Suggests recipes to Ray Tune: the study's fixed recipes, and the proposals of a sampler.

    A fixed recipe is suggested once its base and its teacher have finished, before proposals. Most proposals need only
    the ordinary base, so they run while a fixed recipe waits. A proposal whose base or teacher has not finished is held
    back until it has, and the sampler is asked for another one meanwhile; if the base or teacher ends without weights,
    the proposal is forgotten, and does not count in the budget. Where the length of pretraining is searched, a base
    runs when a proposal first needs it. A trial whose process or node was lost for good is left unfinished, and so is
    what needs it: a resumed search runs it. The searcher's state follows from the recipes proposed and their outcomes,
    so it is never saved.
    """

    def __init__(
        self,
        study: Study,
        fixed: FixedRecipes,
        sampler: Sampler,
        listeners: Sequence[Listener],
        why_failed: Callable[[str], Ending | None] = lambda trial_id: None,
        why_stopped: Callable[[str], Ending | None] = lambda trial_id: None,
        clock: Callable[[], float] = time.monotonic,
        has_place: Callable[[Mapping[Role, int], Role], bool] = lambda running, role: True,
        hours_before: float = 0.0,
        may_ask: Callable[[], bool] = lambda: True,
        why_unwritable: Callable[[], str | None] = lambda: None,
        asked_to_stop: Callable[[], str | None] = lambda: None,
        since: Spent = START,
    ) -> None:
        """Create a searcher that has suggested nothing yet.

        Args:
            study: the study to search.
            fixed: its fixed recipes.
            sampler: proposes the other recipes; it is told of each event after all listeners.
            listeners: are told of each event, in this order.
            why_failed: returns how a trial failed, by Tune's trial id.
            why_stopped: returns how the scheduler stopped a trial, by Tune's trial id.
            clock: returns a time in seconds, for a budget of hours.
            has_place: returns whether the cluster has room for one more trial of a role, beside the given number of
                trials of each role that run or wait for room.
            hours_before: hours for which earlier drivers worked on the run, for a budget of hours.
            may_ask: returns whether the sampler can be asked without a long pause; until then nothing is proposed.
            why_unwritable: returns what is wrong with the run's storage, None where it can be written.
            asked_to_stop: returns who asked that nothing more is proposed, None where nobody did.
            since: what had been spent when the budget was last extended.
        """
        super().__init__()
        hypervolume = Hypervolume.of(study, fixed)
        self._study, self._sampler, self._known = study, sampler, DependencyTracker()
        self._spending = BudgetTracker(study.budget, hypervolume, clock, hours_before, since)
        self.listeners = Listeners([*listeners, self._known, hypervolume, self._spending, sampler])
        self._why_failed, self._why_stopped, self._has_place = why_failed, why_stopped, has_place
        self._may_ask, self._why_unwritable, self._asked_to_stop = may_ask, why_unwritable, asked_to_stop
        self._waiting: list[Fixed] = list(fixed)
        self._base = fixed.base.recipe
        self._held: list[Candidate] = []
        self._asked: dict[str, Asked] = {}  # by recipe id, of accepted candidates that were not announced yet
        self._running: dict[str, Proposal] = {}
        self._places: Counter[Role] = Counter()  # number of trials that run or wait for room
        self._losses, self._hopeless = Losses(), False
        self._left = study.budget.trials
        self._unfinished: list[Proposal] = []
        self._numbers = itertools.count()
        self._endings = 0

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Refuse objectives and a space from Tune, since they come from the study."""
        return not metric and not config

    @paused()  # nearly all that an ask makes is dropped at its end, so that there is no garbage to look for
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next recipe as `{"id", "role", "number", "recipe"}`, None if Tune must wait, or FINISHED."""
        if self._hopeless:
            return str(Searcher.FINISHED)
        self._drop_orphans()
        self._heed_budget()
        proposal = self._take(self._unfinished, lambda one: one.role)
        if proposal is None:
            proposal = self._next_fixed() or self._next_held() or self._next_proposal()
            if proposal is None:
                return Searcher.FINISHED if self._nothing_left() else None
            self.listeners.proposed(proposal)
        self._losses.begin(trial_id)
        self._running[trial_id] = proposal
        self._places[proposal.role] += 1
        return {
            "id": proposal.recipe.id,
            "role": proposal.role,
            "number": proposal.number,
            "recipe": proposal.recipe.model_dump(mode="json"),
        }

    def replay(self, past: Sequence[RememberedTrial]) -> None:
        """Take up the state of a searcher that suggested these trials, and tell the sampler and all listeners of them.

        Trials that have not ended are suggested again, before all others, without being announced a second time.
        """
        replay(past, [Restoring(self._sampler, past), *self.listeners.several])
        ids = {one.proposal.recipe.id for one in past}
        self._waiting = [fixed for fixed in self._waiting if fixed.recipe.id not in ids]
        self._left = max(0, self._left - sum(one.proposal.role == "proposed" for one in past))  # its study was edited
        self._unfinished = [one.proposal for one in past if one.outcome is None]
        self._numbers = itertools.count(1 + max((one.proposal.number for one in past), default=-1))
        self._endings = 1 + max((one.order for one in past), default=-1)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell the sampler and all listeners of an epoch."""
        self._losses.progress()
        self._report(self._running[trial_id], Report.of_result(result), None)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell all how a trial ended. Raises MachineFault where it failed by no fault of its own, as of a full disk."""
        failure = (self._why_failed(trial_id) or UNEXPLAINED) if error else None
        if failure is not None:
            check_machine(failure, self._why_unwritable)
        if failure is not None and failure.kind is EndKind.KILLED:
            self._leave_unfinished(trial_id, failure)
            return
        self._losses.progress()
        report = Report.of_result(result) if result else None
        outcome = outcome_of(report, self._study.objectives, failure=failure, stopped=self._why_stopped(trial_id))
        proposal = self._running.pop(trial_id)
        if report is not None and failure is None:
            self._report(proposal, report, outcome.ending)
        self._places[proposal.role] -= 1
        self._conclude(proposal, outcome)

    def _leave_unfinished(self, trial_id: str, failure: Ending) -> None:
        self._losses.lose(trial_id)
        proposal = self._running.pop(trial_id)
        self._places[proposal.role] -= 1
        self.listeners.left_unfinished(proposal, failure.reason or "")
        if (reason := self._losses.why_hopeless()) is not None and not self._hopeless:
            self._hopeless = True
            self.listeners.closed(reason)

    def __getstate__(self) -> dict[str, Any]:
        """Leave all state out of a pickle. Tune pickles each searcher, but reads the pickle only to restore a tuner."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Save nothing, since the searcher is rebuilt from the run directory's trials/."""

    def restore(self, checkpoint_path: str) -> None:
        """Raise TemperError: a searcher is rebuilt from the run directory's trials/, not from Tune's checkpoint."""
        raise TemperError(f"{checkpoint_path}: a searcher is rebuilt from trials/, not restored")

    def _report(self, proposal: Proposal, report: Report, ending: Ending | None) -> None:
        if report.row:
            self.listeners.reported(proposal, report.row, ending)

    def _conclude(self, proposal: Proposal, outcome: Outcome) -> None:
        self._endings += 1
        self.listeners.ended(proposal, outcome)

    def _drop_orphans(self) -> None:
        """End the fixed recipes that can never run since their base or teacher ended without weights.

        Proposals that were held back for the same base or teacher, or for one whose process was lost, are forgotten:
        they were never announced.
        """
        for fixed in list(self._waiting):
            reason = self._known.why_orphaned(fixed.recipe)
            if reason is not None:
                self._waiting.remove(fixed)
                proposal = self._proposal_of(fixed)
                self.listeners.proposed(proposal)
                self._conclude(proposal, Outcome(Ending(EndKind.ORPHANED, reason), None, 0.0))
        for held in list(self._held):
            if self._known.is_out(held.recipe):
                self._held.remove(held)
                self._sampler.forget(held)
                self._left += 1

    def _heed_budget(self) -> None:
        """Once the budget is spent, or somebody asked to stop, propose nothing more, and forget what is held back."""
        reason = self._asked_to_stop() or self._spending.over(self._places["proposed"] + len(self._held))
        if (self._left or self._held) and reason is not None:
            self._close(reason)
            while self._held:
                self._sampler.forget(self._held.pop())

    def _close(self, reason: str) -> None:
        self._left = 0
        self.listeners.closed(reason)

    def _proposal_of(self, fixed: Fixed) -> Proposal:
        return Proposal(fixed.recipe, fixed.role, fixed.name, next(self._numbers))

    def _next_fixed(self) -> Proposal | None:
        return self._proposal_of(fixed) if (fixed := self._take(self._waiting, lambda one: one.role)) else None

    def _next_held(self) -> Proposal | None:
        return self._proposed(held) if (held := self._take(self._held, lambda one: "proposed")) else None

    def _take(self, waiting: list[_Waits], role: Callable[[_Waits], Role]) -> _Waits | None:
        """Return the first of those that wait which can run now, and take it from them."""
        for one in waiting:
            if self._known.is_ready(one.recipe) and self._fits(role(one)):
                waiting.remove(one)
                return one
        return None

    def _next_proposal(self) -> Proposal | None:
        possible = self._known.state(self._base.id) is State.COMPLETE and self._left and self._fits("proposed")
        if not possible or self._spending.has_converged or not self._may_ask():
            return None
        refused = 0
        while self._left and len(self._held) < MOST_HELD:
            candidate = self._sampler.ask(self._state())
            if candidate is None:
                self._close("no recipe of the space is left")
                break
            if not self._spending.is_worth(candidate.worth):
                self._sampler.put_back()
                self._heed_budget()
                break
            recipe = candidate.recipe
            held = any(recipe == other.recipe for other in self._held)
            if recipe.id in self._known or held or self._known.is_out(recipe):
                self._sampler.refuse(candidate)
                refused += 1
                if refused == MOST_DUPLICATES:
                    self._close(f"the sampler named {refused} recipes in a row that were proposed before")
                continue
            self._sampler.accept(candidate)
            self._asked[recipe.id] = Asked(candidate.ask, self._endings, candidate.refused, candidate.attributes)
            self._left -= 1
            if self._known.is_ready(recipe):
                return self._proposed(candidate)
            self._held.append(candidate)
            if base := self._new_base(recipe):
                return self._proposal_of(base)
        return None

    def _state(self) -> SearchState:
        limits = self._spending.limits(self._left, self._places["proposed"])
        return SearchState(limits.share_left, self._base_metrics, self._known.is_out, limits)

    def _fits(self, role: Role) -> bool:
        return self._has_place(self._places, role)

    def _new_base(self, recipe: Recipe) -> Fixed | None:
        """Return a proposal's base if it must be run first: a pretraining whose length was not proposed before."""
        base = recipe.base
        if base is None or base.id in self._known or any(base == fixed.recipe for fixed in self._waiting):
            return None
        return Fixed("base", f"{BASE}.{base.schedule.epochs}epochs", base)

    def _proposed(self, candidate: Candidate) -> Proposal:
        asked, number = self._asked.pop(candidate.recipe.id), next(self._numbers)
        return Proposal(candidate.recipe, "proposed", None, number, candidate.params, candidate.distributions, asked)

    def _nothing_left(self) -> bool:
        """Return whether all was suggested that can run in this session, whose ordinary base may have been lost."""
        left = [each.recipe for some in (self._waiting, self._held, self._unfinished) for each in some]
        base_is_out = self._known.state(self._base.id) in (State.PRUNED, State.FAIL) or self._known.is_out(self._base)
        return all(map(self._known.must_wait, left)) and (base_is_out or self._left == 0)

    @property
    def _base_metrics(self) -> Mapping[str, float]:
        base = self._known.outcome(self._base.id)
        return (base.metrics if base else None) or {}
