"""Keeps the reference point of a search up to date while base and reference still run."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from search.events import Listener, Outcome, Proposal, Row
from search.gain.axes import SCORE, Axis
from search.gain.learning_curves import LearningCurves
from search.recipes.fixed import FixedRecipes
from search.study.study import Study, compute_of
from trainables.evaluation.chance import at_chance
from trainables.recipe.recipe import Recipe


class ReferencePointTracker(Listener):
    """Tells the reference point, as far as it is known, to what looks ahead: the sampler.

    Until the reference has finished, its robust accuracy is what its scores so far are expected to lead to, and before
    its first epoch the base's; its compute is the planned one. A reference that ends without a result leaves it at its
    latest score, and so does one that is no better than chance: robustness that it does not have bounds nothing.
    """

    def __init__(self, study: Study, fixed: FixedRecipes, planned: Callable[[Recipe], Mapping[str, float]]) -> None:
        """Start without any results.

        Args:
            study: the study, which has the rule.
            fixed: its fixed recipes, the reference among them.
            planned: returns the metrics of a recipe that follow from it before it runs, its compute among them.
        """
        self._rule, self._compute = study.reference_point, compute_of(study)
        self._recipe, self._planned = fixed.reference.recipe, planned
        self._ended_well: Mapping[str, float] | None = None  # its final numbers; None also where it learnt nothing
        self._latest: dict[str, float] = {}
        self._curves = LearningCurves()
        self._largest: dict[str, float] = {}

    def reported(self, proposal: Proposal, row: Row, ending: object = None) -> None:
        if self._ended_well is None:  # nobody asks for curves from then on
            self._curves.reported(proposal, row)
        if row.get(SCORE) is not None and proposal.recipe.id == self._recipe.id:
            self._latest = {name: float(row[name]) for name in (SCORE, "clean_accuracy") if row.get(name) is not None}

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if self._ended_well is None:
            self._curves.ended(proposal, outcome)
        if outcome.metrics is None:
            return
        for name, value in outcome.metrics.items():
            self._largest[name] = max(self._largest.get(name, value), value)
        if proposal.recipe.id == self._recipe.id and at_chance(outcome.metrics) is None:
            self._ended_well = outcome.metrics

    def point(self, base: float) -> NDArray[np.float64] | None:
        """Return `(2,)`: robust accuracy and decades of compute; None where the reference spends no compute.

        Args:
            base: robust accuracy of the ordinary base, 0–1.
        """
        ended = self._ended_well
        compute = (self._planned(self._recipe) if ended is None else ended)[self._compute]
        expected = self._curves.predicted(self._recipe) if ended is None else float(ended[SCORE])
        reference = self._latest.get(SCORE, base) if expected is None else expected
        return self._rule.point(reference=reference, base=base, compute=float(compute))

    def corner(self, axes: Sequence[Axis], base: Mapping[str, float]) -> NDArray[np.float64] | None:
        """Return the same for any objectives, as costs; None where the reference spends no compute.

        What the study's rule does not name is bounded by the reference's value, see `Axis.worst`: the planned one until
        it has ended, and for what cannot be planned the latest epoch's, or else the largest that was measured so far.

        Args:
            axes: the axes, robust accuracy and compute first.
            base: final numbers of the ordinary base.

        Returns:
            `(axes,)`, finite.
        """
        point = self.point(base[SCORE])
        if point is None:
            return None
        return np.array([-point[0], point[1], *(axis.worst(self._value(axis, base)) for axis in axes[2:])])

    def _value(self, axis: Axis, base: Mapping[str, float]) -> float:
        name, ended = axis.metric, self._ended_well
        if ended is not None and name in ended:
            return float(ended[name])
        if axis.is_foreseen:
            return float(self._planned(self._recipe)[name])
        largest = max(self._largest.get(name, 0.0), base.get(name, 0.0))
        return self._latest.get(name, base.get(name, largest)) if axis.is_accuracy else largest
