"""Tells optimizers what recipes will cost: as planned where that is known, else as modelled from what was observed."""

from typing import Protocol

import numpy as np

from tests.benchmarks.peers.tables.table import Array, Table

SHRINKAGE = 0.1  # variance of one observed cost, in squared decades, by the prior variance of a coefficient


class Costs(Protocol):
    """Says what the recipes of a table will cost, to every optimizer that can use it."""

    def decades(self) -> Array:
        """`(entries,)` common logarithms of the expected costs."""

    def observe(self, entry: int, decades: float) -> None:
        """Note what a recipe has cost."""


class PlannedCosts:
    """Costs that are known before a recipe runs, as FLOPs are."""

    def __init__(self, planned: tuple[float, ...]) -> None:
        self._decades = np.log10(planned)

    def decades(self) -> Array:
        return np.asarray(self._decades)

    def observe(self, entry: int, decades: float) -> None:
        """Nothing is learnt: the cost was known."""


class ObservedCosts:
    """A linear model of the logarithm of cost over the features of recipes, fitted to what was observed (ridge).

    What multiplies a cost, such as twice the width, adds to its logarithm. Before two recipes have been observed all
    are expected to cost the same.
    """

    def __init__(self, features: Array) -> None:
        self._features = features
        self._entries: list[int] = []
        self._observed: list[float] = []
        self._decades = np.zeros(len(features))

    def decades(self) -> Array:
        return self._decades

    def observe(self, entry: int, decades: float) -> None:
        self._entries.append(entry)
        self._observed.append(decades)
        self._decades = self._modelled()

    def _modelled(self) -> Array:
        if len(self._entries) < 2:
            return np.full(len(self._features), self._observed[0])
        seen, observed = self._features[self._entries], np.array(self._observed)
        centre, mean = seen.mean(axis=0), observed.mean()
        apart = seen - centre
        gram = apart.T @ apart + SHRINKAGE * np.eye(apart.shape[1])
        slopes = np.linalg.solve(gram, apart.T @ (observed - mean))
        return np.asarray(mean + (self._features - centre) @ slopes)


def costs_of(table: Table) -> Costs:
    """The costs that optimizers are told of a table."""
    return ObservedCosts(table.features) if table.planned is None else PlannedCosts(table.planned)
