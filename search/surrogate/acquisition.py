"""Computes what candidates of known compute and predicted accuracy are expected to add to the hypervolume."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from search.surrogate.gaussian_process import Array

FURTHEST = 8.0  # standard deviations above the mean, beyond which a score is not expected
LEAST_CHARGED = 0.05  # share of the best gain per price, once the budget is nearly used up
HALVINGS = 40  # of an interval of scores: to less than 1e-11


def expected_hypervolume_improvement(
    mean: Array, deviation: Array, costs: Array, front: Array, reference: tuple[float, float]
) -> Array:
    """Compute by how much each recipe is expected to raise the hypervolume, if its score is normally distributed.

    It has a closed form, since only one of the two objectives is uncertain.

    Args:
        mean: `(recipes,)` predicted robust accuracy.
        deviation: `(recipes,)` standard deviation of the prediction, above 0.
        costs: `(recipes,)` log10 of compute, which is known.
        front: `(points, 2)` robust accuracy and log10 of compute of the recipes found so far; dominated points among
            them change nothing.
        reference: the reference point: the robust accuracy and the log10 of compute that bound the hypervolume.

    Returns:
        `(recipes,)` in robust accuracy × decades of compute.
    """
    steps = _Steps.of(costs, front, reference)
    return steps.expected_beyond(mean, deviation, np.full((len(mean), 1), -np.inf))


def gittins_index(
    mean: Array, deviation: Array, costs: Array, front: Array, reference: tuple[float, float], prices: Array
) -> Array:
    """Compute the gain at which each recipe is just worth its price: the g with E[max(gain - g, 0)] = price.

    Where proposals cost differently, the largest index leads to more for the same budget than the largest gain, or gain
    per price, because it is told how far a gain may exceed its mean (arXiv 2406.20062, here for the hypervolume). The
    gain is piecewise linear in the score, so that the expectation has a closed form; g is found by bisection.

    Args:
        mean, deviation, costs, front, reference: as for `expected_hypervolume_improvement`.
        prices: `(recipes,)` in robust accuracy × decades of compute, above 0.

    Returns:
        `(recipes,)` in the same unit; below 0 for a recipe whose expected gain is below its price.
    """
    steps = _Steps.of(costs, front, reference)
    expected = steps.expected_beyond(mean, deviation, np.full((len(mean), 1), -np.inf))
    low = np.full((len(mean), 1), reference[0])
    high = np.maximum(low, mean[:, None] + FURTHEST * deviation[:, None])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        more = (steps.expected_beyond(mean, deviation, middle) > prices)[:, None]
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return np.where(expected > prices, steps.gains(low), expected - prices)


@dataclass(frozen=True)
class Prospects:
    """What is expected of candidates, as the functions above take it, and the probability `(recipes,)` that each may
    be on the frontier at all.
    """

    mean: Array
    deviation: Array
    costs: Array
    front: Array
    reference: tuple[float, float]
    feasible: Array

    def gains(self) -> Array:
        """Return the expected gain `(recipes,)` of each."""
        gains = expected_hypervolume_improvement(self.mean, self.deviation, self.costs, self.front, self.reference)
        return gains * self.feasible

    def index(self, prices: Array, left: float) -> Array:
        """Return the Gittins index `(recipes,)` of each.

        Args:
            prices: `(recipes,)` in any unit; the recipe of the largest gain per price is charged a share of its gain,
                and the others in proportion to their prices.
            left: that share: how much of the budget is left, 0-1.
        """
        charge = max(left, LEAST_CHARGED) * np.max(self.gains() / prices)
        charged = np.maximum(charge * prices / np.maximum(self.feasible, 1e-12), 1e-300)
        return gittins_index(self.mean, self.deviation, self.costs, self.front, self.reference, charged)


@dataclass(frozen=True)
class _Steps:
    """By how much a recipe raises the hypervolume, as a function of its score: it rises faster above each level.

    Attributes:
        levels: `(levels,)` the reference point's accuracy and those of the frontier, ascending.
        slopes: `(recipes, levels)` gain per robust accuracy between a level and the next: decades of compute.
    """

    levels: Array
    slopes: Array

    @classmethod
    def of(cls, costs: Array, front: Array, reference: tuple[float, float]) -> Self:
        lowest, dearest = reference
        inside = front[(front[:, 0] > lowest) & (front[:, 1] < dearest)]
        inside = inside[np.argsort(-inside[:, 0], kind="stable")]
        cheapest = np.minimum.accumulate(inside[:, 1])  # compute of a point that is at least as accurate
        limits = np.r_[cheapest[::-1], dearest]
        return cls(np.r_[lowest, inside[::-1, 0]], np.clip(limits - costs[:, None], 0.0, None))

    def gains(self, scores: Array) -> Array:
        """Return the gain `(recipes,)` of each recipe at a score `(recipes, 1)`."""
        ends = np.r_[self.levels[1:], np.inf]
        return np.asarray(((np.clip(scores, self.levels, ends) - self.levels) * self.slopes).sum(axis=1))

    def expected_beyond(self, mean: Array, deviation: Array, scores: Array) -> Array:
        """Return how much gain `(recipes,)` is expected beyond the gain at a score `(recipes, 1)`."""
        from scipy.special import ndtr  # late: it is slow to import

        starts = np.maximum(scores, self.levels)
        distance = (mean[:, None] - starts) / deviation[:, None]
        density = np.exp(-np.square(distance) / 2) / np.sqrt(2 * np.pi)
        above = deviation[:, None] * (density + distance * ndtr(distance))  # expected excess over each start
        heights = above - np.column_stack([above[:, 1:], np.zeros(len(mean))])
        return np.asarray((heights * self.slopes).sum(axis=1))


def decades(flops: float) -> float:
    """Returns the common logarithm of FLOPs; 0 for less than one, so that recipes without compute can be compared."""
    return math.log10(max(1.0, flops))
