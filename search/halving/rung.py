"""Successive halving of several objectives: what a rung has seen, and who may go on. Nothing here knows Ray."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.pareto.dominance import non_dominated

Costs = tuple[float, ...]  # of one recipe, one for each objective, all minimised


@dataclass
class Rung:
    """One level of asynchronous successive halving (arXiv 1810.05934), for several objectives.

    An arrival goes on if it is among the first 1/reduction_factor, rounded up, of all that have arrived, itself
    included. They are ranked by non-dominated layers (arXiv 2106.12639). Where the limit cuts a layer, its places are
    for those that went on before and for the arrival, ranked by spread: each next one is the farthest from those
    before it.

    Attributes:
        reduction_factor: eta.
        costs: of every arrival, in order.
        kept: whether it went on.
    """

    reduction_factor: float
    costs: list[Costs] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    _points: NDArray[np.float64] | None = field(default=None, init=False, repr=False)  # (objectives, arrivals)

    def arrive(self, costs: Costs, *, binding: bool = True) -> bool:
        """Note an arrival and say whether it goes on; what is not finite does not, and is not compared with.

        Args:
            costs: of the arrival.
            binding: False: it goes on in any case.
        """
        if not all(math.isfinite(cost) for cost in costs):
            return not binding
        self._add(costs)
        self.kept.append(not binding or self._is_among_the_first())
        return self.kept[-1]

    def note(self, costs: Costs, *, kept: bool) -> None:
        """Note an arrival that was decided on before."""
        if all(math.isfinite(cost) for cost in costs):
            self._add(costs)
            self.kept.append(kept)

    def _add(self, costs: Costs) -> None:
        self.costs.append(costs)
        column = np.array([costs]).T
        self._points = column if self._points is None else np.concatenate([self._points, column], axis=1)

    def _is_among_the_first(self) -> bool:
        assert self._points is not None
        points = self._points.T
        limit, arrival = math.ceil(len(points) / self.reduction_factor), len(points) - 1
        better = (points <= points[arrival]).all(axis=1) & (points < points[arrival]).any(axis=1)
        if better.sum() >= limit:
            return False  # all of them are in layers before its own
        left = np.argsort(points[:, 0], kind="stable")  # sorted, each layer is found quickly
        while True:
            first = non_dominated(points[left])
            layer = left[first]
            if len(layer) <= limit:
                if arrival in layer:
                    return True
                limit -= len(layer)
                left = left[~first]
                if limit == 0:
                    return False
                continue
            if arrival not in layer:
                return False
            went_on = np.flatnonzero(self.kept)
            if len(left) == len(points) and not np.isin(went_on, layer).all():
                return True  # nobody dominates it, and somebody who is dominated went on
            contenders = np.append(np.intersect1d(layer, went_on), arrival)
            return arrival in contenders[spread(points[contenders])[:limit]]


def spread(points: NDArray[np.float64]) -> list[int]:
    """Indices of points in an order in which each next one is the farthest from those before it.

    The first is the best in the first objective; of equally far ones the first comes first. Distances are Euclidean,
    with each objective scaled to 0–1 over the points.

    Args:
        points: `(points, objectives)`, finite, all minimised.
    """
    span = np.ptp(points, axis=0)
    scaled = (points - points.min(axis=0)) / np.where(span > 0, span, 1.0)
    order = [int(np.lexsort(points.T[::-1])[0])]
    nearest = np.linalg.norm(scaled - scaled[order[0]], axis=1)
    nearest[order[0]] = -1.0
    while len(order) < len(points):
        chosen = int(np.argmax(nearest))
        order.append(chosen)
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[chosen], axis=1))
        nearest[order] = -1.0
    return order
