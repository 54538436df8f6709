"""Ranks the recipes that reach a rung of successive halving by several objectives, without knowing Ray."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.pareto.dominance import non_dominated

Costs = tuple[float, ...]  # the costs of one recipe: one for each objective, all minimised


@dataclass
class Rung:
    """One level of asynchronous successive halving (arXiv 1810.05934), for several objectives.

    A recipe that arrives goes on if it is among the first 1/reduction_factor, rounded up, of all that have arrived,
    itself included. They are ranked by non-dominated layers (arXiv 2106.12639). Where the limit cuts through a layer,
    only the recipes that went on before and the new arrival compete for the layer's remaining places. These are ranked
    by spread: each next one is the farthest from those before it. What lies outside the region that the search is about
    comes after all that lies inside.

    Attributes:
        reduction_factor: eta.
        costs: the costs of every recipe that arrived, in order.
        kept: whether each of them went on.
    """

    reduction_factor: float
    costs: list[Costs] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    _points: NDArray[np.float64] | None = field(default=None, init=False, repr=False)  # (objectives, arrivals)

    def arrive(self, costs: Costs, *, binding: bool = True, region: Costs | None = None) -> bool:
        """Note a recipe that arrives, and return whether it goes on.

        A recipe with a cost that is not finite is stopped, and later ones are not compared with it.

        Args:
            costs: its costs.
            binding: whether it may be stopped; False: it goes on in any case.
            region: the costs that bound the region here: what is inside has less of each; None: all is inside.
        """
        if not all(math.isfinite(cost) for cost in costs):
            return not binding
        self._add(costs)
        self.kept.append(not binding or self._is_among_the_first(region))
        return self.kept[-1]

    def note(self, costs: Costs, *, kept: bool) -> None:
        """Note a recipe that arrived earlier, with what was decided then, as a resumed search does."""
        if all(math.isfinite(cost) for cost in costs):
            self._add(costs)
            self.kept.append(kept)

    def _add(self, costs: Costs) -> None:
        self.costs.append(costs)
        column = np.array([costs]).T
        self._points = column if self._points is None else np.concatenate([self._points, column], axis=1)

    def _is_among_the_first(self, region: Costs | None) -> bool:
        assert self._points is not None
        points = self._points.T
        limit, arrival = math.ceil(len(points) / self.reduction_factor), len(points) - 1
        better = (points <= points[arrival]).all(axis=1) & (points < points[arrival]).any(axis=1)
        if better.sum() >= limit:
            return False  # those that dominate it fill the places, since their layers come before its own
        bounds = np.full(points.shape[1], math.inf) if region is None else np.array(region)
        inside: NDArray[np.bool_] = np.all(points < bounds, axis=1)
        if not inside[arrival]:
            limit -= int(inside.sum())
        # Of points in order each layer is found quickly.
        order = np.argsort(points[:, 0], kind="stable")
        left = first_left = order[inside[order] == inside[arrival]]
        while limit > 0:
            first = non_dominated(points[left])
            layer = left[first]
            if len(layer) <= limit:
                if arrival in layer:
                    return True
                limit -= len(layer)
                left = left[~first]
                continue
            if arrival not in layer:
                return False
            went_on = np.flatnonzero(self.kept)
            if left is first_left and inside[arrival] and not np.isin(went_on, layer).all():
                return True  # it is not dominated, and one that is dominated, or outside, went on
            contenders = np.append(np.intersect1d(layer, went_on), arrival)
            return arrival in contenders[spread(points[contenders])[:limit]]
        return False


def spread(points: NDArray[np.float64]) -> list[int]:
    """Order points so that each next one is the farthest from those before it.

    The first is the best in the first objective; among equally far points the one with the lower index comes first.
    Distances are Euclidean, with each objective scaled to 0–1 over the points.

    Args:
        points: `(points, objectives)`, finite, all minimised.

    Returns:
        The indices of all points, in that order.
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
