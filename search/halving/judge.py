"""Decides which proposals are not worth their full schedule, by successive halving over several objectives.

Rungs lie at equal shares of each recipe's own schedule, since a one-cycle rate makes equal epochs unfair to long ones.
A proposal is compared by what it reached so far and by what its whole schedule will cost, which is known. What lies
outside the region that the search is about counts for less than all that lies inside.
"""

from collections.abc import Sequence
from typing import Self

from analysis.tables.rungs import SCORE, Ladder
from search.events import Listener, Outcome, Proposal, Row
from search.halving.region import RegionByShare
from search.halving.rung import Costs, Rung
from search.recipes.fixed import FixedRecipes
from search.study.algorithms import Halving
from search.study.study import Study
from trainables.evaluation.metrics import METRICS, Metric
from trainables.execution.ending import Ending, EndKind


class Judge(Listener):
    """Decides after each epoch whether a proposal goes on.

    The scheduler asks it about each epoch as it comes. As a listener it is told of the same epochs again, which changes
    nothing; in a resumed search it is told of earlier epochs, together with what was decided about them. Its state
    follows from the epochs that it was told of, in order, so it is not saved.

    Attributes:
        ladders: the rungs of each bracket, with the recipes that have reached them.
        final: robust accuracy of the proposals that have finished, by recipe id.
    """

    def __init__(self, settings: Halving, objectives: Sequence[str], region: RegionByShare | None = None) -> None:
        """Start with empty rungs.

        Args:
            settings: the study's settings of halving.
            objectives: the study's objectives; those whose value is known only at the end are left out.
            region: tells what lies outside the region that the search is about; None: nothing does.
        """
        self._factor, self._region = settings.reduction_factor, region
        self._objectives = [METRICS[name] for name in objectives if METRICS[name].each_epoch]
        self.ladders = [
            Ladder(shares, settings.shortest, settings.trusted, settings.trusted_after) for shares in settings.ladders
        ]
        self._rungs = [[Rung(self._factor) for _ in shares] for shares in settings.ladders]
        self.final: dict[str, float] = {}
        self._trusted: dict[tuple[int, int], bool] = {}  # whether a rung may stop proposals, until one finishes

    @classmethod
    def of(cls, study: Study, fixed: FixedRecipes) -> Self | None:
        """Make the judge of a study; None if it has no halving."""
        if study.halving is None:
            return None
        return cls(study.halving, study.objectives, RegionByShare(study, fixed))

    def report(self, recipe: str, number: int, epochs: int, row: Row) -> Ending | None:
        """Decide whether a proposal goes on after an epoch.

        Args:
            recipe: the recipe's id.
            number: the proposal's number in the order of proposing, which assigns it to a bracket.
            epochs: length of its schedule.
            row: the epoch's row of its history.

        Returns:
            The ending that stops it, or None if it goes on.
        """
        arrival = self._arrive(recipe, number, epochs, row)
        if arrival is None:
            return None
        bracket, index, costs = arrival
        ladder, rung = self.ladders[bracket], self._rungs[bracket][index]
        if (bracket, index) not in self._trusted:
            self._trusted[bracket, index] = ladder.is_trusted(index, self.final)
        region = None if self._region is None else self._region.bounds(ladder.shares[index], self._objectives)
        if rung.arrive(costs, binding=self._trusted[bracket, index], region=region):
            return None
        reason = (
            f"stopped at {ladder.shares[index]:.0%} of its schedule: not among the first "
            f"{1 / self._factor:.0%} of {len(rung.costs)} there"
        )
        return Ending(EndKind.STOPPED, reason)

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        """Note what was decided about an epoch. Nothing was decided where the trial ended by itself."""
        if self._region is not None:
            self._region.reported(proposal, row, ending)
        stopped = ending is not None and ending.kind is EndKind.STOPPED
        if proposal.role != "proposed" or (ending is not None and not stopped):
            return
        arrival = self._arrive(proposal.recipe.id, proposal.number, proposal.recipe.schedule.epochs, row)
        if arrival is not None:
            bracket, index, costs = arrival
            self._rungs[bracket][index].note(costs, kept=not stopped)

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if self._region is not None:
            self._region.ended(proposal, outcome)
        if proposal.role == "proposed" and outcome.metrics is not None:
            self.final[proposal.recipe.id] = outcome.metrics[SCORE]
            self._trusted.clear()

    def _arrive(self, recipe: str, number: int, epochs: int, row: Row) -> tuple[int, int, Costs] | None:
        """Return the bracket and rung that a proposal has just reached, and its costs there; None if it reached none.

        A rung that it reached before does not count again.
        """
        bracket = number % len(self.ladders)
        index = self.ladders[bracket].arrive(recipe, epochs, row)
        return None if index is None else (bracket, index, tuple(_cost(one, row) for one in self._objectives))


def _cost(objective: Metric, row: Row) -> float:
    """Return a row's value of an objective, negated where more is better.

    It is the value planned for the whole schedule where that is known, else the value so far.
    """
    value = float(row[objective.planned or objective.name])
    return -value if objective.better == "max" else value
