"""Counts how far a search is, for the listeners that show it on the terminal and in Prometheus."""

from collections import Counter
from collections.abc import Mapping, Sequence

from search.events import Listener, Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from search.study.constraints import Bound, eligible
from trainables.execution.ending import State


class Tally(Listener):
    """Counts the recipes of a search that run and that have ended, those from before a resume included.

    Attributes:
        running: number of recipes that were proposed and have not ended, without those that were left unfinished.
        ended_by_state: number of recipes that have ended, by state.
        best: final numbers of the best-scored proposal that may be on the frontier, of equally scored ones the cheapest
            to train; None while there is none.
        reference_flops: marginal compute of the reference; None until it has finished.
    """

    def __init__(self, fixed: FixedRecipes, constraints: Sequence[Bound] = ()) -> None:
        """Start at zero.

        Args:
            fixed: the fixed recipes, among them the reference, to which compute is compared, and the base.
            constraints: bounds that the best proposal satisfies; shares of the base's numbers are not known before it
                has finished, so a proposal that does so earlier is not the best.
        """
        self._reference, self._base_id = fixed.reference.recipe.id, fixed.base.recipe.id
        self._constraints, self._base = tuple(constraints), dict[str, float]()
        self._seconds: dict[bool, list[float]] = {True: [], False: []}  # True: of proposals; False: of fixed recipes
        self.running = 0
        self.ended_by_state: Counter[State] = Counter()
        self.best: Mapping[str, float] | None = None
        self.reference_flops: float | None = None

    @property
    def total(self) -> int:
        """Number of recipes that have ended."""
        return self.ended_by_state.total()

    def proposed(self, proposal: Proposal) -> None:
        self.running += 1

    def left_unfinished(self, proposal: Proposal, reason: str) -> None:
        self.running -= 1

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        metrics = outcome.metrics
        self.running -= 1
        self.ended_by_state[outcome.state] += 1
        self._seconds[proposal.role == "proposed"].append(outcome.seconds)
        if metrics is None:
            return
        if proposal.recipe.id == self._reference:
            self.reference_flops = metrics["train_flops"]
        if proposal.role == "proposed":
            self.best = metrics if self._may_be_best(metrics) else self.best
        elif proposal.recipe.id == self._base_id:
            self._base = dict(metrics)

    def _may_be_best(self, metrics: Mapping[str, float]) -> bool:
        if self.best is not None and _rank(metrics) <= _rank(self.best):
            return False
        known = all(not bound.of_dense or bound.metric in self._base for bound in self._constraints)
        return known and eligible(self._constraints, metrics, self._base)

    def mean_seconds(self) -> float | None:
        """Return the mean seconds of the proposals that have ended.

        Until one has ended, it is the mean of the fixed recipes; None while nothing has ended.
        """
        seconds = self._seconds[True] or self._seconds[False]
        return sum(seconds) / len(seconds) if seconds else None


def _rank(metrics: Mapping[str, float]) -> tuple[float, float]:
    return metrics["robust_accuracy"], -metrics["train_flops"]
