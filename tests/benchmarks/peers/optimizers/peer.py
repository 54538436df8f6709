"""Defines what an optimizer is told and what it answers. It never sees a score of a recipe that it has not run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from search.study.algorithms import Sampler
from tests.benchmarks.peers.tables.costs import Costs
from tests.benchmarks.peers.tables.table import Array, Parameter, Params

STARTUP = Sampler().startup_trials  # random proposals before a model begins, as many as before Temper's
POPULATION = Sampler().population  # Optuna's own, 50, would draw every trial of a short search at random


@dataclass(frozen=True)
class Task:
    """What every optimizer may know of a table before anything runs.

    Attributes:
        parameters: its parameters.
        params: the parameters of each recipe.
        features: `(entries, features)` the same as numbers in [0, 1].
        point: reference point of the hypervolume: the least score, and the common logarithm of the most cost. It
            follows from the base and the baselines, which ran before the search.
        costs: what recipes will cost, as far as that is known.
        trials: number of recipes that the search may run at most.
        seed: of the search.
    """

    parameters: tuple[Parameter, ...]
    params: tuple[Params, ...]
    features: Array
    point: tuple[float, float]
    costs: Costs
    trials: int
    seed: int


@dataclass(frozen=True)
class Budget:
    """What one search may spend. What is reached first ends it; a recipe that runs then may finish.

    Attributes:
        trials: number of recipes.
        spent: in the table's unit of cost; None: no limit.
    """

    trials: int
    spent: float | None = None


@dataclass(frozen=True)
class Left:
    """What is left of a budget.

    Attributes:
        budget: the whole budget.
        trials: number of recipes that may still be begun.
        spent: what may still be spent, in the table's unit of cost; None: no limit.
    """

    budget: Budget
    trials: int
    spent: float | None

    @property
    def share(self) -> float:
        """The share that is left, 0–1: the smaller one of trials and of what may be spent."""
        shares = [self.trials / self.budget.trials]
        if self.budget.spent is not None and self.spent is not None:
            shares.append(self.spent / self.budget.spent)
        return max(0.0, min(shares))


@dataclass(frozen=True)
class Suggestion:
    """A recipe that an optimizer wants to run.

    Attributes:
        params: its parameters; some that do not apply may be among them.
        share: share of its schedule to train, 0–1.
        goes_on: whether it is a recipe that was told before, to be trained further. Any other one is moved to the
            nearest recipe that has not run.
    """

    params: Params
    share: float = 1.0
    goes_on: bool = False


@dataclass(frozen=True)
class Result:
    """The result of a suggestion, as it is told.

    Attributes:
        entry: number of the recipe that ran.
        params: its parameters.
        share: share of its schedule that was trained, 0–1.
        score: its score; 0 if it diverged, overfitted or learnt nothing, as Temper's sampler counts it.
        decades: common logarithm of its cost, the second objective; what was planned if it did not finish.
    """

    entry: int
    params: Params
    share: float
    score: float
    decades: float


class Peer(Protocol):
    """An optimizer of two objectives, score up and cost down, one recipe after another."""

    def ask(self, left: Left) -> Suggestion:
        """Suggest a recipe; `left` is for who heeds it."""

    def tell(self, result: Result) -> None:
        """Learn from the result of the last suggestion."""


class Maker(Protocol):
    """Makes an optimizer for a task."""

    def __call__(self, task: Task) -> Peer: ...


def seeded(task: Task) -> int:
    """A seed for libraries that take no larger one than 32 bits, other for each search."""
    return int(task.seed) % 2**32


def complete(asked: Mapping[str, Any], ran: Params) -> dict[str, Any]:
    """The parameters of the recipe that ran, with those that do not apply as they were asked for."""
    return {**asked, **ran}


def rank_of(parameter: Parameter, value: Any) -> int | str:
    """The rank of a value among the choices: a number if their order means something, else a name.

    So a library that takes names as categories need not take the values themselves, such as None.
    """
    rank = parameter.choices.index(value)
    return rank if parameter.ordered and len(parameter.choices) > 1 else str(rank)
