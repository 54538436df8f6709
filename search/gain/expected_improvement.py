"""Computes the expected hypervolume improvement of candidates whose objectives are known or normally distributed."""

import numpy as np

from search.gain.undominated import Undominated
from search.surrogate.gaussian_process import Array


def expected_improvement(mean: Array, deviation: Array, undominated: Undominated) -> Array:
    """Compute by how much each recipe is expected to raise the hypervolume.

    A recipe gains, in each box that no other dominates, the part that it dominates. Where its objectives are
    independent, and each is known or normally distributed, the expectation of that part is a product over the
    objectives, and so has a closed form (arXiv 1904.12672; what is known is the case without deviation).

    Args:
        mean: `(recipes, objectives)` costs, as known or predicted.
        deviation: `(recipes, objectives)` standard deviations of the predictions; 0 for what is known.
        undominated: what the recipes found so far leave.

    Returns:
        `(recipes,)` in the unit of the hypervolume.
    """
    lower, upper = undominated.largest()
    gains = np.ones((len(mean), len(lower)))
    for axis in range(mean.shape[1]):
        limits, places = np.unique(np.concatenate([lower[:, axis], upper[:, axis]]), return_inverse=True)
        below = _shortfall(limits, mean[:, axis], deviation[:, axis])
        gains *= below[:, places[len(lower) :]] - below[:, places[: len(lower)]]
    return np.asarray(gains.sum(axis=1))


def _shortfall(limits: Array, mean: Array, deviation: Array) -> Array:
    """Return `(recipes, limits)`: by how much the cost of each recipe is expected to lie below each limit."""
    from scipy.special import ndtr  # late: it is slow to import

    room = np.clip(limits - mean[:, None], 0.0, None)
    uncertain, finite = deviation > 0, np.isfinite(limits)
    if not uncertain.any():
        return room
    distance = (limits[finite] - mean[uncertain, None]) / deviation[uncertain, None]
    density = np.exp(-np.square(distance) / 2) / np.sqrt(2 * np.pi)
    room[np.ix_(uncertain, finite)] = deviation[uncertain, None] * (density + distance * ndtr(distance))
    return room
