"""Counts how far a search is, for the listeners that show it on the terminal and in Prometheus."""

from collections import Counter
from collections.abc import Mapping

from search.events import Listener, Outcome, Proposal
from trainables.evaluation.chance import at_chance
from trainables.execution.ending import State


class Tally(Listener):
    """Counts the recipes of a search that run and that have ended, those from before a resume included.

    Attributes:
        running: number of recipes that were proposed and have not ended, without those that were left unfinished.
        ended_by_state: number of recipes that have ended, by state.
        best: final numbers of the most robust finished proposal that is better than chance; None while there is none.
        reference_flops: marginal compute of the reference; None until it has finished.
    """

    def __init__(self, reference: str) -> None:
        """Start at zero.

        Args:
            reference: recipe id of the reference, the baseline to which compute is compared.
        """
        self._reference = reference
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
        best = self.best
        if proposal.role != "proposed" or at_chance(metrics) is not None:
            return
        if best is None or metrics["robust_accuracy"] > best["robust_accuracy"]:
            self.best = metrics

    def mean_seconds(self) -> float | None:
        """Return the mean seconds of the proposals that have ended.

        Until one has ended, it is the mean of the fixed recipes; None while nothing has ended.
        """
        seconds = self._seconds[True] or self._seconds[False]
        return sum(seconds) / len(seconds) if seconds else None
