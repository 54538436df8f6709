"""How far a search is, in a few numbers, for everyone who shows it."""

from collections import Counter
from collections.abc import Mapping

from search.events import Listener, Outcome, Proposal
from trainables.execution.ending import State


class Tally(Listener):
    """Counts what happens in a search, and in what went before it was resumed.

    Attributes:
        running: recipes that were proposed and have not ended.
        ended_by_state: those that have.
        best: final numbers of the most robust finished proposal; None while there is none.
        reference_flops: marginal compute of the finished reference; None while it is not there.
    """

    def __init__(self, reference: str) -> None:
        """Args: the id of the baseline that ratios are held against."""
        self._reference = reference
        self._seconds: dict[bool, list[float]] = {True: [], False: []}  # of proposals, and of the others
        self.running = 0
        self.ended_by_state: Counter[State] = Counter()
        self.best: Mapping[str, float] | None = None
        self.reference_flops: float | None = None

    @property
    def total(self) -> int:
        """Recipes that have ended."""
        return self.ended_by_state.total()

    def proposed(self, proposal: Proposal) -> None:
        self.running += 1

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        metrics = outcome.metrics
        self.running -= 1
        self.ended_by_state[outcome.state] += 1
        self._seconds[proposal.role == "proposed"].append(outcome.seconds)
        if metrics is None:
            return
        if proposal.recipe.id == self._reference:
            self.reference_flops = metrics["train_flops"]
        best = self.best
        if proposal.role == "proposed" and (best is None or metrics["robust_accuracy"] > best["robust_accuracy"]):
            self.best = metrics

    def mean_seconds(self) -> float | None:
        """What a proposal took on average, or any recipe while no proposal has ended; None while nothing has."""
        seconds = self._seconds[True] or self._seconds[False]
        return sum(seconds) / len(seconds) if seconds else None
