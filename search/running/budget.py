"""Tracks how much of a search's budget is spent, and tells when it is over."""

import time
from collections.abc import Callable

from analysis.run.extensions import Spent
from search.events import Listener, Outcome, Proposal, Row
from search.monitoring.hypervolume import Hypervolume
from search.samplers.limits import Limits
from search.study.algorithms import Budget, Currency
from trainables.evaluation.metrics import own_flops
from trainables.execution.ending import Ending
from trainables.value_forms import counted

# A search goes on for as long as a whole budget more is expected to gain this share of the hypervolume found. On the
# recorded digits table half of 60 trials are spared by it, without loss; a share of 0.5 loses 2%.
LEAST_WORTH = 0.1
START = Spent()  # of a search that was never extended


class BudgetTracker(Listener):
    """Tells when the budget is spent, so that nothing more may be proposed. Trials that run then may finish.

    Attributes:
        has_converged: whether the last candidate was not worth what it costs, and nothing has ended since.
    """

    last_epoch_only = True

    def __init__(
        self,
        budget: Budget,
        hypervolume: Hypervolume,
        clock: Callable[[], float] = time.monotonic,
        hours_before: float = 0.0,
        since: Spent = START,
    ) -> None:
        """Start the clock.

        Args:
            budget: the study's budget.
            hypervolume: hypervolume of the study's proposals; it must be told of each ending before this is asked.
            clock: returns a time in seconds.
            hours_before: hours for which earlier drivers worked on the run; they count as spent.
            since: what had been spent when the budget was last extended; shares and patience count from there.
        """
        self._budget, self._hypervolume, self._since = budget, hypervolume, since
        self._clock, self._started = clock, clock() - 3600 * hours_before
        self._flops: dict[str, float] = {}
        self._planned: dict[str, float] = {}  # FLOPs of the whole schedules of proposals that run
        self.has_converged = False

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        if proposal.role == "proposed" and row.get("train_flops") is not None:
            self._flops[proposal.recipe.id] = own_flops(row)
            self._planned[proposal.recipe.id] = own_flops(row, "planned_train_flops") or own_flops(row)

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        self._planned.pop(proposal.recipe.id, None)
        self.has_converged = False  # what it came to may change what others are worth

    def is_worth(self, worth: float) -> bool:
        """Return whether a candidate is worth what it costs; always, unless the study stops when it has converged.

        It is not if a whole budget of candidates like it would be expected to raise the hypervolume that was found so
        far by less than LEAST_WORTH of it (cost-aware stopping, arXiv 2507.12453). The answer is a function of what has
        ended, and so of the record.

        Args:
            worth: expected gain of the best candidate, for what the whole budget would buy of the like, as a share of
                the hypervolume of all objectives that was found.
        """
        if self._budget.stop == "converged":
            # The share counts once there is a reference point for good, and something was found.
            self.has_converged = bool(self._hypervolume.of_first(self._hypervolume.finished)) and worth < LEAST_WORTH
        return not self.has_converged

    def limits(self, trials: int, running: int) -> Limits:
        """Return what is limited and what of it is left, of all or of what there was at the last extension.

        What proposals that run will still spend is not left: beside many workers that is a large part of a budget.

        Args:
            trials: number of proposals that may still be made.
            running: number of proposals that run now, beside which another one would run; so many workers there are.
        """
        budget, since = self._budget, self._since
        whole: dict[Currency, float] = {"trials": budget.trials - since.trials}
        left: dict[Currency, float] = {"trials": trials}
        if budget.hours is not None:
            workers = 3600.0 * (running + 1)
            whole["hours"] = workers * (budget.hours - since.hours)
            left["hours"] = workers * (budget.hours - self._hours())
        if budget.flops is not None:
            whole["flops"] = budget.flops - since.flops
            left["flops"] = budget.flops - sum((self._flops | self._planned).values())
        return Limits(whole, left)

    def over(self, pending: int = 0) -> str | None:
        """Return why nothing more may be proposed, in words, or None if the budget is not spent.

        Args:
            pending: number of proposals that run or will; while there are any, nothing has converged for good.
        """
        budget = self._budget
        if budget.hours is not None and self._hours() >= budget.hours:
            return f"{counted(budget.hours, 'hour', 'g')} {'is' if budget.hours == 1 else 'are'} over"
        flops = 0.0 if budget.flops is None else sum(self._flops.values())
        if budget.flops is not None and flops >= budget.flops:
            return f"proposals have spent {flops:.3g} FLOPs of {budget.flops:.3g}"
        if budget.patience is not None and not self._gained(budget.patience):
            last = "finished proposal" if budget.patience == 1 else f"{budget.patience} finished proposals"
            return f"the last {last} gained no hypervolume"
        if self.has_converged and not pending:
            gain = f"less than {LEAST_WORTH:.0%} of the hypervolume found"
            return f"converged: a whole budget more is expected to gain {gain}"
        return None

    def _hours(self) -> float:
        return (self._clock() - self._started) / 3600

    def _gained(self, last: int) -> bool:
        """Return whether the last so many finished proposals gained hypervolume.

        True while there are no more than that since the budget was last extended, or no reference point yet, since
        nothing can be said then.
        """
        finished = self._hypervolume.finished
        now, before = self._hypervolume.of_first(finished), self._hypervolume.of_first(finished - last)
        return finished - self._since.finished <= last or now is None or before is None or now > before
