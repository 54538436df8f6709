"""Finds the points of an array that no other point dominates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def non_dominated(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return a mask of the points that no other point dominates.

    A point dominates another if it is nowhere worse and somewhere better. Equal points do not dominate each other, so
    all copies are kept. A point with NaN or an infinity is never kept, and dominates nothing.

    Args:
        costs: `(points, objectives)`, all minimised.

    Returns:
        `(points,)`, True for the points that are kept.
    """
    kept: NDArray[np.bool_] = np.asarray(np.isfinite(costs).all(axis=1), dtype=np.bool_)
    finite = np.flatnonzero(kept)
    if costs.shape[1] == 2:
        kept[finite] = _non_dominated_in_the_plane(costs[finite])
        return kept
    others = costs[finite]
    for index in finite:
        dominated = (others <= costs[index]).all(axis=1) & (others < costs[index]).any(axis=1)
        kept[index] = not dominated.any()
    return kept


class Front:
    """The points that no other dominates, of points that are added one after another.

    Attributes:
        costs: `(points, objectives)` the points, all minimised, in the order in which they were added.
    """

    def __init__(self, objectives: int) -> None:
        """Start without points of so many objectives."""
        self.costs = np.empty((0, objectives))

    def add(self, cost: NDArray[np.float64]) -> bool:
        """Add a point, and return whether it belongs to the front now; what it dominates does so no longer.

        A point that is equal to another belongs to it too. A point with NaN or an infinity never does.

        Args:
            cost: `(objectives,)`.
        """
        no_worse = (self.costs <= cost).all(axis=1)
        if not np.isfinite(cost).all() or (no_worse & (self.costs < cost).any(axis=1)).any():
            return False
        beaten = (self.costs >= cost).all(axis=1) & (self.costs > cost).any(axis=1)
        self.costs = np.vstack([self.costs[~beaten], cost])
        return True


def _non_dominated_in_the_plane(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the same for two objectives and finite costs, by sorting, which is fast for thousands of points.

    Only a point that comes before another one in the order of the first objective can dominate it.
    """
    order = np.argsort(costs[:, 0], kind="stable")  # fast for points that are sorted already
    first, second = costs[order, 0], costs[order, 1]
    begins = np.r_[True, first[1:] > first[:-1]][: len(first)]  # where a group of equal first costs begins
    group = np.cumsum(begins) - 1
    best = np.minimum.reduceat(second, np.flatnonzero(begins))  # least second cost of each group
    before = np.minimum.accumulate(np.r_[np.inf, best])[:-1]  # least second cost of all groups before it
    kept = np.empty(len(costs), dtype=np.bool_)
    kept[order] = (second == best[group]) & (second < before[group])
    return kept


def to_costs(values: NDArray[np.float64], directions: Sequence[str]) -> NDArray[np.float64]:
    """Turn objectives into costs, by negating those that are maximised. No other function handles directions.

    Args:
        values: `(points, objectives)`.
        directions: "min" or "max" for each objective.

    Returns:
        `(points, objectives)`, all minimised.
    """
    signs = np.array([-1.0 if direction == "max" else 1.0 for direction in directions])
    return np.asarray(values * signs, dtype=np.float64)
