"""Turns the objectives of a study into costs, so that what compares recipes need not know which are maximised."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.study.study import Study, compute_of
from search.surrogate.gaussian_process import Array
from trainables.evaluation.metrics import METRICS

SCORE = "robust_accuracy"
# What counts as nothing of a metric that is compared by its logarithm: one FLOP, one byte, …
LEAST: Mapping[str, float] = {"mac_ratio": 1e-6, "device_seconds": 1e-6, "energy_joules": 1e-6}
WORST_ACCURACY, WORST_COST = 0.8, 1.1  # of the reference's: beyond that a recipe adds nothing to the hypervolume


@dataclass(frozen=True)
class Axis:
    """One objective as a cost: an accuracy is negated, anything else counts by its common logarithm, in decades.

    Attributes:
        metric: name of the metric.
    """

    metric: str

    @property
    def is_accuracy(self) -> bool:
        """Whether the metric is a share of images, which is maximised; anything else is an amount, and minimised."""
        return METRICS[self.metric].better == "max"

    @property
    def is_foreseen(self) -> bool:
        """Whether its value follows from a recipe before it runs, so that it is planned and not modelled."""
        return METRICS[self.metric].foreseen

    def cost(self, value: float) -> float:
        """Return the cost of a value of the metric."""
        return -value if self.is_accuracy else math.log10(max(LEAST.get(self.metric, 1.0), value))

    def worst(self, reference: float) -> float:
        """Return the largest cost that adds to the hypervolume, given the reference's value of the metric.

        For robust accuracy and compute the study has a rule of its own, `analysis.pareto.reference_point`.
        """
        return self.cost(reference * (WORST_ACCURACY if self.is_accuracy else WORST_COST))


def axes_of(study: Study) -> tuple[Axis, ...]:
    """Return the axes of a study's objectives: robust accuracy, then compute, then all others."""
    first = (SCORE, compute_of(study))
    return tuple(Axis(name) for name in (*first, *(one for one in study.objectives if one not in first)))


def costs_of(axes: Sequence[Axis], metrics: Mapping[str, float]) -> Array:
    """Return `(axes,)` the costs of a finished recipe, given its final numbers."""
    return np.array([axis.cost(float(metrics[axis.metric])) for axis in axes])
