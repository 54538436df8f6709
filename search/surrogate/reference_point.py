"""Keeps the reference point of a search up to date while base and reference still run."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from search.events import Listener, Outcome, Proposal, Row
from search.recipes.fixed import FixedRecipes
from search.study.study import Study, compute_of
from trainables.evaluation.chance import at_chance
from trainables.recipe.recipe import Recipe

SCORE = "robust_accuracy"


class ReferencePointTracker(Listener):
    """Tells the reference point, as far as it is known, to what looks ahead: the sampler.

    Until the reference has finished, its robust accuracy is taken from its latest epoch, and before its first epoch
    from the base; its compute is the planned one. A reference that ends without a result leaves it at that, and so does
    one that is no better than chance: robustness that it does not have bounds nothing.
    """

    def __init__(self, study: Study, fixed: FixedRecipes, planned: Callable[[Recipe], float]) -> None:
        """Start without any results.

        Args:
            study: the study, which has the rule.
            fixed: its fixed recipes, the reference among them.
            planned: returns the FLOPs of a recipe's whole schedule, in the study's metric of compute.
        """
        self._rule, self._compute = study.reference_point, compute_of(study)
        self._recipe, self._planned = fixed.reference.recipe, planned
        self._reference: Mapping[str, float] | None = None
        self._latest = math.nan

    def reported(self, proposal: Proposal, row: Row, ending: object = None) -> None:
        if proposal.recipe == self._recipe and row.get(SCORE) is not None:
            self._latest = float(row[SCORE])

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if proposal.recipe == self._recipe and outcome.metrics is not None:
            self._reference = outcome.metrics

    def point(self, base: float) -> NDArray[np.float64] | None:
        """Return `(2,)`: robust accuracy and decades of compute; None where the reference spends no compute.

        Args:
            base: robust accuracy of the ordinary base, 0–1.
        """
        reference = self._latest
        if self._reference is not None and at_chance(self._reference) is None:
            compute, reference = float(self._reference[self._compute]), float(self._reference[SCORE])
        else:
            compute = self._planned(self._recipe)
        return self._rule.point(reference=base if math.isnan(reference) else reference, base=base, compute=compute)
