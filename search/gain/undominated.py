"""Cuts the part of the space of objectives that no point dominates into boxes, so that gains become sums over boxes."""

from collections.abc import Iterable
from typing import Self

import numpy as np

from search.surrogate.gaussian_process import Array

MOST = 20_000  # boxes that are told; of more, the largest, which is where gains are to be had


class Undominated:
    """What no point dominates and the corner bounds, as disjoint boxes; all coordinates are costs.

    A box is dominated by none of its corners, so what a new point gains in it is the part that the point dominates. A
    point that is added cuts each box that it dominates a part of into at most as many pieces as there are objectives.
    With two objectives there is a box more than there are points on the frontier; with three, some five times as many.

    Attributes:
        corner: `(objectives,)` the reference point.
        lower: `(boxes, objectives)` least costs of each box; minus infinity where nothing bounds it.
        upper: `(boxes, objectives)` its largest costs.
    """

    def __init__(self, corner: Array) -> None:
        """Start without points: all that the corner bounds is one box."""
        self.corner = corner
        self.lower = np.full((1, len(corner)), -np.inf)
        self.upper = corner[None].copy()
        self._ideal = corner.copy()

    def add(self, points: Iterable[Array]) -> None:
        """Add points, each `(objectives,)`. One that is dominated, or not better than the corner, changes nothing."""
        for point in points:
            if np.isfinite(point).all() and (point < self.corner).all():
                self._cut(point)
                self._ideal = np.minimum(self._ideal, point)

    def _cut(self, point: Array) -> None:
        hit = (self.upper > point).all(axis=1)
        rest, upper = self.lower[hit], self.upper[hit]  # of these boxes, what is not yet known to stay
        lowers, uppers = [self.lower[~hit]], [self.upper[~hit]]
        for axis in range(len(point)):
            better = rest[:, axis] < point[axis]
            piece = upper[better]
            piece[:, axis] = point[axis]
            lowers.append(rest[better].copy())
            uppers.append(piece)
            rest[better, axis] = point[axis]
        self.lower, self.upper = np.vstack(lowers), np.vstack(uppers)

    def copy(self) -> Self:
        """Return one to which points can be added without changing this one."""
        other = type(self)(self.corner)
        other.lower, other.upper, other._ideal = self.lower, self.upper, self._ideal  # its own kind
        return other

    def dominated(self) -> float:
        """Return the hypervolume that the points dominate: the product of an accuracy's unit and decades."""
        inside = np.clip(self.upper - np.maximum(self.lower, self._ideal), 0.0, None)
        return float(max(0.0, np.prod(self.corner - self._ideal) - inside.prod(axis=1).sum()))

    def largest(self) -> tuple[Array, Array]:
        """Return lower and upper costs of the boxes; of more than MOST, those that are largest where points may lie."""
        if len(self.lower) <= MOST:
            return self.lower, self.upper
        nearest = self._ideal - (self.corner - self._ideal)  # as much better again as the best known
        volume = (self.upper - np.maximum(self.lower, nearest)).prod(axis=1)
        kept = np.argsort(-volume, kind="stable")[:MOST]
        return self.lower[kept], self.upper[kept]
