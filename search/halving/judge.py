"""Decides which proposals are not worth their full schedule, by successive halving over several objectives.

Rungs lie at equal shares of each recipe's own schedule, since a one-cycle rate makes equal epochs unfair to long ones.
A proposal is compared by what it reached so far and by what its whole schedule will cost, which is known.
"""

from collections.abc import Sequence

from analysis.tables.rungs import SCORE, Ladder
from search.events import Listener, Outcome, Proposal, Row
from search.halving.rung import Costs, Rung
from search.study.algorithms import Halving
from trainables.evaluation.metrics import METRICS, Metric
from trainables.execution.ending import Ending, EndKind


class Judge(Listener):
    """Decides who goes on. Its state is a function of the reports that it was given, in order, so it is not saved.

    The scheduler asks it about each epoch as it comes. As a listener it hears of the same epochs again, which changes
    nothing, and in a resumed search of those of before, with what was decided then.

    Attributes:
        ladders: one for each bracket, and who has reached its rungs.
        final: robust accuracy of the proposals that have finished, by recipe id.
    """

    def __init__(self, settings: Halving, objectives: Sequence[str]) -> None:
        """Args: the study's settings, and its objectives; those that are not known before the end count for nothing."""
        self._factor = settings.reduction_factor
        self._objectives = [METRICS[name] for name in objectives if METRICS[name].each_epoch]
        self.ladders = [
            Ladder(shares, settings.shortest, settings.trusted, settings.trusted_after) for shares in settings.ladders
        ]
        self._rungs = [[Rung(self._factor) for _ in shares] for shares in settings.ladders]
        self.final: dict[str, float] = {}
        self._trusted: dict[tuple[int, int], bool] = {}  # by bracket and rung, as long as nobody finishes

    def report(self, recipe: str, number: int, epochs: int, row: Row) -> Ending | None:
        """Decide about an epoch of a proposal.

        Args:
            recipe: its id.
            number: in the order of proposing, which deals it to a bracket.
            epochs: of its schedule.
            row: of its history.

        Returns:
            How it is stopped, or None.
        """
        arrival = self._arrive(recipe, number, epochs, row)
        if arrival is None:
            return None
        bracket, index, costs = arrival
        ladder, rung = self.ladders[bracket], self._rungs[bracket][index]
        if (bracket, index) not in self._trusted:
            self._trusted[bracket, index] = ladder.is_trusted(index, self.final)
        if rung.arrive(costs, binding=self._trusted[bracket, index]):
            return None
        reason = (
            f"stopped at {ladder.shares[index]:.0%} of its schedule: not among the first "
            f"{1 / self._factor:.0%} of {len(rung.costs)} there"
        )
        return Ending(EndKind.STOPPED, reason)

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        """Note what was decided about an epoch. One that ended its trial by itself was not decided about."""
        stopped = ending is not None and ending.kind is EndKind.STOPPED
        if proposal.role != "proposed" or (ending is not None and not stopped):
            return
        arrival = self._arrive(proposal.recipe.id, proposal.number, proposal.recipe.schedule.epochs, row)
        if arrival is not None:
            bracket, index, costs = arrival
            self._rungs[bracket][index].note(costs, kept=not stopped)

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if proposal.role == "proposed" and outcome.metrics is not None:
            self.final[proposal.recipe.id] = outcome.metrics[SCORE]
            self._trusted.clear()

    def _arrive(self, recipe: str, number: int, epochs: int, row: Row) -> tuple[int, int, Costs] | None:
        """The bracket and rung that a proposal has just reached, and its costs there; None: no rung, or one before."""
        bracket = number % len(self.ladders)
        index = self.ladders[bracket].arrive(recipe, epochs, row)
        return None if index is None else (bracket, index, tuple(_cost(one, row) for one in self._objectives))


def _cost(objective: Metric, row: Row) -> float:
    """What a row says of an objective, so that less is better: planned where that is known, else as it is so far."""
    value = float(row[objective.planned or objective.name])
    return -value if objective.better == "max" else value
