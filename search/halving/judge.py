"""Decides which proposals are not worth their full schedule, by successive halving over several objectives.

Rungs lie at equal shares of each recipe's own schedule, since a one-cycle rate makes equal epochs unfair to long ones.
A proposal is compared by what it reached so far and by what its whole schedule will cost, which is known.
"""

from collections.abc import Sequence
from typing import Any

from analysis.run.trials import State
from analysis.tables.rungs import SCORE, STOPPED, Ladder, judged
from search.halving.rung import Rung
from search.resume.history import Remembered
from search.study.algorithms import Halving
from trainables.evaluation.metrics import METRICS, Metric


class Judge:
    """Decides who goes on. Its state is a function of the reports that it was given, in order, so it is not saved.

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

    def report(
        self, recipe: str, number: int, epochs: int, row: dict[str, Any], *, stopped: bool | None = None
    ) -> str | None:
        """Take note of an epoch of a proposal.

        Args:
            recipe: its id.
            number: in the order of proposing, which deals it to a bracket.
            epochs: of its schedule.
            row: of its history.
            stopped: whether it was then, for an epoch of the record; None: to be decided.

        Returns:
            Why it is to be stopped, or None.
        """
        bracket = number % len(self.ladders)
        ladder = self.ladders[bracket]
        index = ladder.arrive(recipe, epochs, row)
        if index is None:
            return None
        rung, costs = self._rungs[bracket][index], tuple(_cost(one, row) for one in self._objectives)
        if stopped is not None:
            rung.note(costs, kept=not stopped)
            return None
        if (bracket, index) not in self._trusted:
            self._trusted[bracket, index] = ladder.is_trusted(index, self.final)
        if rung.arrive(costs, binding=self._trusted[bracket, index]):
            return None
        return (
            f"{STOPPED} at {ladder.shares[index]:.0%} of its schedule: not among the first "
            f"{1 / self._factor:.0%} of {len(rung.costs)} there"
        )

    def finish(self, recipe: str, score: float) -> None:
        """Take note of a finished proposal's robust accuracy."""
        self.final[recipe] = score
        self._trusted.clear()

    def replay(self, past: Sequence[Remembered]) -> None:
        """Become what a judge was that had decided all this."""
        for one in past:
            proposal, outcome = one.proposal, one.outcome
            if proposal.role != "proposed":
                continue
            recipe = proposal.recipe
            state, reason = (State.RUNNING, None) if outcome is None else (outcome.state, outcome.reason)
            rows, stopped = judged(one.history, state, reason)
            for row in rows:
                last = row is rows[-1]
                self.report(recipe.id, proposal.number, recipe.schedule.epochs, dict(row), stopped=last and stopped)
            if outcome is not None and outcome.metrics is not None:
                self.finish(recipe.id, outcome.metrics[SCORE])


def _cost(objective: Metric, row: dict[str, Any]) -> float:
    """What a row says of an objective, so that less is better: planned where that is known, else as it is so far."""
    value = float(row[objective.planned or objective.name])
    return -value if objective.better == "max" else value
