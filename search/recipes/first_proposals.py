"""Checks the proposals that a study wants first against its space, before anything runs."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from search.recipes.choosers import RandomChooser
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.study.study import Study
from trainables.errors import InvalidInput

DRAWS = 32  # random completions of what is wanted, in one of which each parameter that is named must be asked for
ROUNDING = 1e-9


def check_first(study: Study, fixed: FixedRecipes) -> None:
    """Check the proposals that a study wants first (`first`) against its space.

    Parameters that are left out are drawn at random in a search, so a parameter may be named that is asked for only
    after some of those draws.

    Raises:
        InvalidInput: parameters are unknown or out of range; it lists every problem.
    """
    problems: list[str] = []
    for number, params in enumerate(study.first):
        asked_for: set[str] = set()
        refused: dict[str, str] = {}
        for draw in range(DRAWS):
            chooser = _WantedChooser(np.random.default_rng(draw), params)
            propose(chooser, study, fixed)
            asked_for |= set(chooser.params)
            refused |= chooser.refused
            if set(params) <= asked_for:
                break
        for name, value in params.items():
            if name in refused:
                problems.append(f"first.{number}.{name}: got {value!r}, expected {refused[name]}")
            elif name not in asked_for:
                known = ", ".join(sorted(asked_for))
                problems.append(f"first.{number}.{name}: no such parameter in this proposal, expected some of {known}")
    if problems:
        raise InvalidInput(*problems)


class _WantedChooser(RandomChooser):
    """Chooses what is wanted where it lies in the space, and draws the rest at random.

    Attributes:
        refused: what was expected in place of each wanted value that does not lie in the space, by name.
    """

    def __init__(self, rng: np.random.Generator, wanted: Mapping[str, Any]) -> None:
        self._kept = dict(wanted)
        super().__init__(rng, self._kept)
        self.refused: dict[str, str] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        value = self._kept.get(name)
        fits = _is_number(value) and low - ROUNDING <= value <= high + ROUNDING
        if _is_number(value) and step is not None:
            steps = (value - low) / step
            fits = fits and abs(steps - round(steps)) < ROUNDING / step
        apart = f" in steps of {step:g}" if step is not None else ""
        self._refuse_unless(fits, name, f"a number from {low:g} to {high:g}{apart}")
        return super().suggest_float(name, low, high, step=step, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        value = self._kept.get(name)
        fits = _is_number(value) and value == int(value) and low <= value <= high and not (value - low) % step
        self._refuse_unless(fits, name, f"a whole number from {low} to {high}")
        return super().suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        value = self._kept.get(name)
        self._refuse_unless(value in choices, name, f"one of {', '.join(map(str, choices))}")
        return super().suggest_categorical(name, choices)

    def _refuse_unless(self, fits: bool, name: str, expected: str) -> None:
        if name in self._kept and not fits:
            self.refused[name] = expected
            del self._kept[name]


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
