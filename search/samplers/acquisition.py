"""The expected gain in hypervolume of candidates whose compute is known and whose accuracy is predicted."""

import numpy as np

from search.samplers.gaussian_process import Array


def expected_hypervolume_improvement(
    mean: Array, deviation: Array, costs: Array, front: Array, reference: tuple[float, float]
) -> Array:
    """By how much normally distributed scores are expected to raise the hypervolume.

    Args:
        mean: `(recipes,)` of robust accuracy.
        deviation: `(recipes,)`, above 0.
        costs: `(recipes,)` log10 of compute, known.
        front: `(points, 2)` robust accuracy and log10 of compute of what is there; dominated points do no harm.
        reference: the accuracy and the log10 of compute that bound the hypervolume.

    Returns:
        `(recipes,)` in robust accuracy × decades of compute.
    """
    from scipy.special import ndtr  # late: it is slow to import

    lowest, dearest = reference
    inside = front[(front[:, 0] > lowest) & (front[:, 1] < dearest)]
    inside = inside[np.argsort(-inside[:, 0], kind="stable")]
    cheapest = np.minimum.accumulate(inside[:, 1])  # of those that are as accurate or more so
    levels, limits = np.r_[lowest, inside[::-1, 0]], np.r_[cheapest[::-1], dearest]
    distance = (mean[:, None] - levels) / deviation[:, None]
    density = np.exp(-np.square(distance) / 2) / np.sqrt(2 * np.pi)
    above = deviation[:, None] * (density + distance * ndtr(distance))  # expected excess over each level
    heights = above - np.column_stack([above[:, 1:], np.zeros(len(mean))])
    return np.asarray((heights * np.clip(limits - costs[:, None], 0.0, None)).sum(axis=1))
