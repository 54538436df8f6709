"""Chooses parameters from a study's space without Optuna: at random, as given, or every combination in turn."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeVar, cast

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.study.study import Study
from trainables.errors import InvalidInput

Number = TypeVar("Number", int, float)
NOTHING: Mapping[str, Any] = MappingProxyType({})


class RandomChooser:
    """Chooses the parameters that it was given, and draws all others uniformly at random.

    Attributes:
        params: the chosen parameters, by name.
        features: the same as coordinates in [0, 1]: a number becomes its position in its range (on a logarithmic scale
            where it is searched on one) or among its levels; any other choice becomes 0 or 1 for each alternative. What
            has a single choice is left out.
    """

    def __init__(self, rng: np.random.Generator, chosen: Mapping[str, Any] = NOTHING) -> None:
        self._rng, self._chosen = rng, chosen
        self.params: dict[str, Any] = {}
        self.features: dict[str, float] = {}
        self._offered: dict[str, Callable[[], BaseDistribution]] = {}

    @property
    def distributions(self) -> dict[str, str]:
        """The distributions that the parameters were chosen from, as Optuna's JSON, by name."""
        return {name: distribution_to_json(make()) for name, make in self._offered.items()}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Choose a number from low to high, both included."""
        last = high if step is None else _levels(low, high, step)[-1]  # Optuna warns of an end that no step reaches
        self._offered[name] = lambda: FloatDistribution(low, last, log=log, step=step)
        if name in self._chosen:
            value = float(self._chosen[name])
        elif step is not None:
            levels = _levels(low, high, step)
            value = levels[int(self._rng.integers(len(levels)))]
        else:
            share = float(self._rng.random())
            value = low * (high / low) ** share if log else low + (high - low) * share
        return self._note(name, value, _share(value, low, high, log=log))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Choose a whole number from low to high, both included."""
        self._offered[name] = lambda: IntDistribution(low, high, log=log, step=step)
        if name in self._chosen:
            value = int(self._chosen[name])
        elif log:
            value = min(high, int((low) * ((high + 1) / low) ** float(self._rng.random())))
        else:
            value = low + step * int(self._rng.integers((high - low) // step + 1))
        return self._note(name, value, _share(value, low, high, log=log))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Choose one of the choices."""
        self._offered[name] = lambda: CategoricalDistribution(choices)
        value = self._chosen[name] if name in self._chosen else choices[int(self._rng.integers(len(choices)))]
        self.params[name] = value
        if len(choices) > 1:  # a single choice tells nothing
            self.features |= _coordinates(name, tuple(choices), value)
        return value

    def position(self, name: str, value: float) -> float:
        """Return the coordinate of a number that takes the place of the one chosen, between the choices around it."""
        offered = cast(CategoricalDistribution, self._offered[name]()).choices
        choices = sorted(float(cast(float, choice)) for choice in offered)
        return float(np.interp(value, choices, np.linspace(0, 1, len(choices))))

    def _note(self, name: str, value: Number, share: float | None) -> Number:
        self.params[name] = value
        if share is not None:
            self.features[name] = share
        return value


@lru_cache(maxsize=64)  # a study has a handful of ranges with steps, and each candidate asks for them
def _levels(low: float, high: float, step: float) -> tuple[float, ...]:
    """Return the values from low in steps up to high, or to the last one below it."""
    count = math.floor((high - low) / step + 1e-6) + 1  # an exact multiple may come out a little lower
    return tuple(float(round(low + step * index, 10)) for index in range(count))


def _share(value: float, low: float, high: float, *, log: bool) -> float | None:
    """Return where a number lies between two others, 0–1; None if these are the same."""
    if low == high:
        return None
    return math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)


@lru_cache(maxsize=1024)  # a study has some ten lists of choices, and each candidate asks for most of them
def _coordinates(name: str, choices: tuple[Any, ...], chosen: Any) -> Mapping[str, float]:
    """Return what one of several choices is as coordinates: its place if all are numbers, else 0 or 1 for each."""
    if all(isinstance(choice, int | float) for choice in choices):
        return {name: sorted(choices).index(chosen) / (len(choices) - 1)}
    return {f"{name}={choice}": float(choice == chosen) for choice in choices}


class ExhaustiveChooser:
    """Chooses one combination of a finite space: the one at the given positions, as an odometer shows them.

    Positions that are not given are 0, and `combinations` counts them up.
    """

    def __init__(self, positions: list[int]) -> None:
        self._positions, self.sizes = positions, list[int]()
        self.params: dict[str, Any] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is None:
            raise InvalidInput(f"{name}: got a range without levels, expected a finite space")
        return float(self._choose(name, _levels(low, high, step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._choose(name, range(low, high + 1, step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._choose(name, choices)

    def _choose(self, name: str, values: Sequence[Any]) -> Any:
        position = len(self.sizes)
        self.sizes.append(len(values))
        self.params[name] = values[self._positions[position] if position < len(self._positions) else 0]
        return self.params[name]


def completed(params: Mapping[str, Any], study: Study, fixed: FixedRecipes, seed: int) -> Mapping[str, Any]:
    """Complete parameters that a study wants first: Optuna draws those that are missing at random.

    Args:
        params: what is chosen already, by name.
        study: whose space to choose from.
        fixed: the study's fixed recipes.
        seed: of the draw.
    """
    asked = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    asked.enqueue_trial(dict(params))
    trial = asked.ask()
    propose(trial, study, fixed)
    return trial.params


def combinations(study: Study, fixed: FixedRecipes) -> Iterator[dict[str, Any]]:
    """Yield every combination of a finite, conditional space, as parameters by name.

    Raises:
        InvalidInput: the space is not finite.
    """
    positions: list[int] = []
    while True:
        counter = ExhaustiveChooser(positions)
        propose(counter, study, fixed)
        yield counter.params
        positions += [0] * (len(counter.sizes) - len(positions))
        positions = positions[: len(counter.sizes)]
        while positions and positions[-1] + 1 == counter.sizes[len(positions) - 1]:
            positions.pop()
        if not positions:
            return
        positions[-1] += 1
