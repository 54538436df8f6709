"""The hypervolume of a search's proposals, as they end."""

import math

import numpy as np

from analysis.pareto.hypervolume import SLACK, hypervolume
from search.events import Listener, Outcome, Proposal
from search.recipes.fixed import fixed_recipes
from search.study.study import Study, compute_of


class Area(Listener):
    """Hears how trials end and knows what the finished proposals dominate, in robust accuracy × decades of compute."""

    def __init__(self, *, base: str, reference: str, compute: str) -> None:
        """Args:
        base: id of the ordinary base, whose robust accuracy bounds the hypervolume.
        reference: id of the baseline whose compute bounds it.
        compute: the metric that it is over, `train_flops` or `end_to_end_flops`.
        """
        self._base, self._reference, self._compute = base, reference, compute
        self._bounds: dict[str, float] = {}
        self._points: list[tuple[float, float]] = []

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        metrics = outcome.metrics
        if metrics is None:
            return
        if proposal.role == "proposed":
            self._points.append((metrics["robust_accuracy"], metrics[self._compute]))
        elif proposal.recipe.id == self._base:
            self._bounds["robust"] = metrics["robust_accuracy"]
        elif proposal.recipe.id == self._reference:
            self._bounds["compute"] = metrics[self._compute]

    @property
    def finished(self) -> int:
        """Proposals that have finished."""
        return len(self._points)

    def of_first(self, count: int) -> float | None:
        """The hypervolume of the proposals that finished first; None until base and reference have."""
        if len(self._bounds) < 2:
            return None
        points = [(robust, math.log10(max(flops, 1.0))) for robust, flops in self._points[:count]]
        bounds = np.array([self._bounds["robust"], math.log10(SLACK * self._bounds["compute"])])
        return hypervolume(np.array(points).reshape(-1, 2), bounds)


def area_of(study: Study) -> Area:
    """A study's, before anything has ended."""
    fixed = fixed_recipes(study)
    reference = next(one.recipe.id for one in fixed if one.name == study.reference)
    return Area(base=fixed[0].recipe.id, reference=reference, compute=compute_of(study))
