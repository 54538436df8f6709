"""Describes a finite table of recipes with known results, and finds the recipe that is nearest to a suggestion."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.pareto.hypervolume import hypervolume

Array = NDArray[np.float64]
Params = Mapping[str, Any]
ABSENT = "absent"  # stands for the value of a parameter that is not chosen
MOST_PARENTS = 3


@dataclass(frozen=True)
class Parameter:
    """A parameter of a table's recipes.

    Attributes:
        name: its name.
        choices: its values, sorted if they are numbers.
        ordered: whether the order of the values means something; each then lies at its rank, scaled to [0, 1].
        parents: the parameters, all before this one, that decide whether it is chosen; none if it always is.
        values: the values of the parents with which it is chosen, `ABSENT` for one that is not chosen itself.
    """

    name: str
    choices: tuple[Any, ...]
    ordered: bool
    parents: tuple[str, ...] = ()
    values: frozenset[tuple[Any, ...]] = frozenset()

    def is_active(self, params: Params) -> bool:
        """Whether the parameter is chosen, given what is chosen of the ones before it."""
        return not self.parents or _values(params, self.parents) in self.values

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
        active: dict[str, Any] = {}
        for one in self.parameters:
            if one.name in params and one.is_active(active):
                active[one.name] = params[one.name]
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
    """Find the parameters of recipes: their values, and on which others it depends whether each is chosen.

    A parameter with one value that all recipes have is left out. Numbers are ordered, anything else is not.

    Raises:
        ValueError: whether a parameter is chosen follows from no `MOST_PARENTS` others.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    found = dict[str, Parameter]()
    left = [name for name in names if len({row.get(name, ABSENT) for row in rows}) > 1]
    while left:
        made = [one for one in (_parameter(name, list(found), rows) for name in left) if one is not None]
        if not made:
            raise ValueError(f"{', '.join(left)}: no {MOST_PARENTS} parameters say whether each is chosen")
        found |= {one.name: one for one in made}
        left = [name for name in left if name not in found]
    return tuple(found.values())


def _parameter(name: str, before: Sequence[str], rows: Sequence[Params]) -> Parameter | None:
    """Make a parameter; None if those before it do not say whether it is chosen."""
    having, lacking = [row for row in rows if name in row], [row for row in rows if name not in row]
    choices = list(dict.fromkeys(row[name] for row in having))
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in choices)
    in_order = tuple(sorted(choices) if numbers else sorted(choices, key=str))
    if not lacking:
        return Parameter(name, in_order, numbers)
    for count in range(1, MOST_PARENTS + 1):
        for parents in itertools.combinations(before, count):
            values = {_values(row, parents) for row in having}
            if not values & {_values(row, parents) for row in lacking}:
                return Parameter(name, in_order, numbers, parents, frozenset(values))
    return None


def _values(params: Params, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(params.get(name, ABSENT) for name in names)
