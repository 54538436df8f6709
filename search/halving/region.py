"""Tells what the region that a search is about demands of a proposal on its way, before it has finished."""

import math
from collections.abc import Mapping, Sequence

from search.events import Listener, Outcome, Proposal, Row
from search.halving.rung import Costs
from search.recipes.fixed import FixedRecipes
from search.study.study import Study, compute_of
from trainables.evaluation.metrics import Metric

SCORE = "robust_accuracy"


class RegionByShare(Listener):
    """Finds the reference point after a share of the schedule.

    The study's rule is applied to what the reference had reached after the same share of its own schedule, since
    proposals are compared at equal shares too, and to the base's final score. It is not known before the reference has
    come that far; nothing lies outside until then.
    """

    def __init__(self, study: Study, fixed: FixedRecipes) -> None:
        """Start without any results.

        Args:
            study: the study, which has the rule.
            fixed: its fixed recipes, base and reference among them.
        """
        self._rule, self._compute = study.reference_point, compute_of(study)
        self._base_recipe, self._reference_recipe = fixed.base.recipe, fixed.reference.recipe
        self._base: Mapping[str, float] | None = None
        self._rows: list[Row] = []

    def reported(self, proposal: Proposal, row: Row, ending: object = None) -> None:
        if row.get(SCORE) is not None and proposal.recipe.id == self._reference_recipe.id:
            self._rows.append(row)

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if proposal.recipe.id == self._base_recipe.id:
            self._base = outcome.metrics

    def bounds(self, share: float, objectives: Sequence[Metric]) -> Costs | None:
        """Return the costs that bound the region after a share of the schedule; None: not known.

        Args:
            share: 0–1.
            objectives: metrics of the costs; those that have no bound get an infinite one.
        """
        whole = self._reference_recipe.schedule.epochs
        row = next((row for row in self._rows if row["epoch"] >= share * whole), None)
        if row is None or self._base is None:
            return None
        point = self._rule.point(
            reference=float(row[SCORE]), base=self._base[SCORE], compute=float(row[f"planned_{self._compute}"])
        )
        if point is None:
            return None
        known = {SCORE: -float(point[0]), self._compute: 10.0 ** float(point[1])}
        return tuple(known.get(one.name, math.inf) for one in objectives)
