"""Tells what a recipe that still trains will come to, from the learning curves of those that have finished."""

from collections import deque

import numpy as np

from search.events import Listener, Outcome, Proposal, Row
from search.gain.axes import SCORE
from search.surrogate.gaussian_process import Array
from trainables.evaluation.chance import learnt_nothing
from trainables.recipe.recipe import Recipe

COMPARED = 200  # of the curves that have finished, the newest so many are kept and asked


class LearningCurves(Listener):
    """Keeps the robust accuracy of every recipe by the share of its schedule.

    The rate anneals over a recipe's whole schedule, so curves are alike by their shares and not by their epochs: what
    others gained from the same share on, a recipe is expected to gain as well.
    """

    def __init__(self) -> None:
        """Start without curves."""
        self._open: dict[Recipe, list[tuple[float, float]]] = {}
        # Of each curve its shares, the best scores until then, and the final one.
        self._finished: deque[tuple[Array, Array, float]] = deque(maxlen=COMPARED)

    def reported(self, proposal: Proposal, row: Row, ending: object = None) -> None:
        epochs = proposal.recipe.schedule.epochs  # 0 of a base that is a file of weights
        if row.get(SCORE) is not None and epochs:
            share = float(row["epoch"]) / epochs
            curve = self._open.setdefault(proposal.recipe, [])
            # A trial that is started again from its checkpoint may report an epoch twice: the later report counts.
            while curve and curve[-1][0] >= share:
                curve.pop()
            best = max(float(row[SCORE]), curve[-1][1] if curve else 0.0)  # a dip says little of where it will end
            curve.append((share, best))

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        curve = self._open.pop(proposal.recipe, [])
        if curve and outcome.metrics is not None and learnt_nothing(outcome.metrics) is None:
            shares, scores = np.array(curve).T
            self._finished.append((shares, scores, float(outcome.metrics[SCORE])))

    def predicted(self, recipe: Recipe) -> float | None:
        """Return the final robust accuracy that a recipe is expected to have, 0–1; None before its first score.

        It is the best score so far, and the median over the finished recipes of what their final score is above their
        best one until the same share of the schedule. (Ratios in place of differences promise far too much of curves
        that begin near 0.)
        """
        curve = self._open.get(recipe)
        if not curve:
            return None
        share, best = curve[-1]
        still = [final - float(np.interp(share, shares, scores)) for shares, scores, final in self._finished]
        return float(np.clip(best + np.median(still), 0.0, 1.0)) if still else best
