"""Describes a finite table of recipes with known results, and finds the recipe that is nearest to a suggestion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.pareto.hypervolume import hypervolume

Array = NDArray[np.float64]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a table's recipes.

    Attributes:
        name: its name.
        choices: its values, sorted if they are numbers.
        ordered: whether the order of the values means something; each then lies at its rank, scaled to [0, 1].
        parent: the parameter that decides whether this one is chosen; None: it always is.
        values: the values of the parent with which it is chosen.
    """

    name: str
    choices: tuple[Any, ...]
    ordered: bool
    parent: str | None = None
    values: frozenset[Any] = frozenset()

    def is_active(self, params: Params) -> bool:
        """Whether the parameter is chosen, given the ones before it."""
        return self.parent is None or params.get(self.parent) in self.values

    def share(self, value: Any) -> float:
        """Where a value lies among the others, 0–1."""
        return self.choices.index(value) / max(1, len(self.choices) - 1)


@dataclass(frozen=True)
class Entry:
    """A recipe of a table, and what is known of it.

    Attributes:
        params: its parameters by name.
        shares: shares of its schedule after which it was scored, growing; the last one is 1 if it finished.
        scores: its score after each share, higher is better.
        spent: what was spent until then, in the unit of the budget.
        score: its final score; None if it ended without one.
        cost: its cost as an objective; what was planned if it ended without a score.
    """

    params: Params
    shares: tuple[float, ...]
    scores: tuple[float, ...]
    spent: tuple[float, ...]
    score: float | None
    cost: float


@dataclass(frozen=True)
class Table:
    """A finite space of recipes with their results.

    Attributes:
        name: its name.
        digest: changes whenever the numbers or the rules by which the table was made change.
        parameters: the parameters; one that depends on another comes after it.
        entries: all recipes.
        point: `(2,)` reference point of the hypervolume: the least score, and the common logarithm of the most cost.
        budget: what a search may spend.
        planned: what each recipe will cost, where that is known before it runs; None: it has to be modelled.
    """

    name: str
    digest: str
    parameters: tuple[Parameter, ...]
    entries: tuple[Entry, ...]
    point: tuple[float, float]
    budget: float
    planned: tuple[float, ...] | None

    @cached_property
    def plane(self) -> Array:
        """`(entries, 2)`: final score (NaN if there is none) and common logarithm of the cost."""
        scores = [np.nan if one.score is None else one.score for one in self.entries]
        return np.column_stack([scores, np.log10([max(1e-12, one.cost) for one in self.entries])])

    @cached_property
    def best(self) -> float:
        """Hypervolume of all recipes together."""
        return hypervolume(self.plane, np.array(self.point))

    @cached_property
    def _places(self) -> Array:
        """`(entries, parameters)`: rank of each value, scaled to [0, 1] if it is ordered; NaN if it is not chosen."""
        return np.array([self._place(one.params) for one in self.entries])

    def _place(self, params: Params) -> list[float]:
        return [
            np.nan
            if one.name not in params
            else one.share(params[one.name])
            if one.ordered
            else self._rank(one, params)
            for one in self.parameters
        ]

    @staticmethod
    def _rank(parameter: Parameter, params: Params) -> float:
        return float(parameter.choices.index(params[parameter.name]))

    def nearest(self, params: Params, begun: Sequence[int], rng: np.random.Generator) -> int | None:
        """Find the recipe that is nearest to a suggestion and has not run; None: all have.

        The distance is Euclidean over the parameters that both choose: the difference of their places for an ordered
        parameter, 1 for two different values of any other. Of several at the same distance, one is drawn.

        Args:
            params: the suggestion; what it chooses for a parameter that does not apply counts nothing.
            begun: the recipes that have run.
            rng: draws among the nearest ones.
        """
        active = {one.name: params[one.name] for one in self.parameters if one.name in params and one.is_active(params)}
        apart = self._places - np.array(self._place(active))
        unordered = np.array([not one.ordered for one in self.parameters])
        apart[:, unordered] = np.where(np.isnan(apart[:, unordered]), np.nan, apart[:, unordered] != 0)
        distance = np.nansum(np.square(apart), axis=1)
        distance[list(begun)] = np.inf
        least = float(distance.min())
        if not np.isfinite(least):
            return None
        return int(rng.choice(np.flatnonzero(distance <= least + 1e-12)))

    @cached_property
    def features(self) -> Array:
        """`(entries, features)` in [0, 1]: place of an ordered value, 0 or 1 for each value of any other parameter.

        An ordered parameter that a recipe does not have lies in the middle.
        """
        return np.column_stack([column for one in self.parameters for column in self._columns(one)])

    def _columns(self, parameter: Parameter) -> list[Array]:
        values = [one.params.get(parameter.name) for one in self.entries]
        if parameter.ordered:
            return [np.array([0.5 if value is None else parameter.share(value) for value in values])]
        return [np.array([float(value == choice) for value in values]) for choice in parameter.choices]


def parameters_of(rows: Sequence[Params]) -> tuple[Parameter, ...]:
    """Find the parameters of recipes: their values, and on which other parameter each depends.

    A parameter with one value that all recipes have is left out. Numbers are ordered, anything else is not.

    Raises:
        ValueError: a parameter that only some recipes have follows from no single other parameter.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    always = [name for name in names if all(name in row for row in rows)]
    found = []
    for name in [*always, *(name for name in names if name not in always)]:
        values = list(dict.fromkeys(row[name] for row in rows if name in row))
        if len(values) == 1 and name in always:
            continue
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        choices = tuple(sorted(values) if numbers else sorted(values, key=str))
        parent, chosen_with = (None, frozenset[Any]()) if name in always else _parent(name, always, rows)
        found.append(Parameter(name, choices, numbers, parent, chosen_with))
    return tuple(found)


def _parent(name: str, candidates: Sequence[str], rows: Sequence[Params]) -> tuple[str, frozenset[Any]]:
    """Find the parameter whose value alone says whether another one is chosen, and the values with which it is."""
    for candidate in candidates:
        having = {row[candidate] for row in rows if name in row}
        lacking = {row[candidate] for row in rows if name not in row}
        if not having & lacking:
            return candidate, frozenset(having)
    raise ValueError(f"{name}: no single parameter says whether it is chosen")
