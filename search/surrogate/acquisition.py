"""Computes the expected hypervolume improvement of candidates of known compute and predicted accuracy."""

import math

import numpy as np

from search.surrogate.gaussian_process import Array


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
    from scipy.special import ndtr  # late: it is slow to import

    lowest, dearest = reference
    inside = front[(front[:, 0] > lowest) & (front[:, 1] < dearest)]
    inside = inside[np.argsort(-inside[:, 0], kind="stable")]
    cheapest = np.minimum.accumulate(inside[:, 1])  # compute of a point that is at least as accurate
    levels, limits = np.r_[lowest, inside[::-1, 0]], np.r_[cheapest[::-1], dearest]
    distance = (mean[:, None] - levels) / deviation[:, None]
    density = np.exp(-np.square(distance) / 2) / np.sqrt(2 * np.pi)
    above = deviation[:, None] * (density + distance * ndtr(distance))  # expected excess over each level
    heights = above - np.column_stack([above[:, 1:], np.zeros(len(mean))])
    return np.asarray((heights * np.clip(limits - costs[:, None], 0.0, None)).sum(axis=1))


def decades(flops: float) -> float:
    """Returns the common logarithm of FLOPs; 0 for less than one, so that recipes without compute can be compared."""
    return math.log10(max(1.0, flops))
