"""What proposes recipes: the interface of every sampler, and the one that a study names."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, cast

from search.events import Asked, Listener, Proposal
from search.recipes.fixed import FixedRecipes
from search.samplers.warm_start import PastTrial
from search.study.algorithms import SAMPLERS
from search.study.study import Study
from trainables.errors import TemperError
from trainables.recipe.recipe import Recipe

ASKS = 1_000_003  # seeds between two studies' first asks, so that neighbouring studies share no draw
MOST_ASKS = 64  # numbers of asks that each proposal has to itself; more than may be refused in a row


@dataclass(frozen=True)
class Candidate:
    """A recipe that a sampler asks to run. Built once, and handed from the ask to the record.

    Attributes:
        recipe: what it comes to.
        params: what was chosen, by name.
        distributions: what it was chosen from, as Optuna's JSON.
        ask: number of the ask that it answers.
        features: the same choices as coordinates in [0, 1], for a sampler that models them.
        flops: that the recipe will have cost after its whole schedule, for a sampler that heeds them; NaN: unknown.
        refused: parameters of the candidates that were refused since the last one was accepted.
        attributes: what the sampler noted on the trial, to read while it runs; plain data, kept in the record.
    """

    recipe: Recipe
    params: Mapping[str, Any]
    distributions: Mapping[str, str]
    ask: int
    features: Mapping[str, float] = field(default_factory=dict)
    flops: float = float("nan")
    refused: tuple[Mapping[str, Any], ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchState:
    """What a sampler may know of the search when it is asked.

    Attributes:
        budget_left: share of the budget that is left, 0–1.
        base_metrics: final numbers of the ordinary base.
        is_lost: whether a recipe can never run, since its base or teacher is lost.
    """

    budget_left: float
    base_metrics: Mapping[str, float]
    is_lost: Callable[[Recipe], bool] = lambda recipe: False


class Sampler(Listener, ABC):
    """Proposes recipes that start from the base.

    What it proposes is a function of what it heard and of the ask's number, in this order, and of nothing else. So its
    state is never saved: a resumed search tells it the past and goes on as the unbroken one would have.
    """

    @abstractmethod
    def ask(self, search: SearchState) -> Candidate | None:
        """The next candidate; None: every recipe of the space was proposed."""

    @abstractmethod
    def accept(self, candidate: Candidate) -> None:
        """The last candidate becomes a proposal, which `proposed`, `reported` and `ended` will tell of."""

    @abstractmethod
    def refuse(self, candidate: Candidate) -> None:
        """It does not: it was proposed before, or can never run. Another ask follows."""

    @abstractmethod
    def forget(self, candidate: Candidate) -> None:
        """It was accepted, but will not run."""

    @abstractmethod
    def restore(self, proposal: Proposal) -> Candidate:
        """Ask for a proposal of the record once more, and accept it.

        Raises:
            TemperError: its parameters make another recipe now.
        """


class Asks:
    """Numbers the asks of one search: each proposal has a block to itself, of which refused candidates take some.

    So the number of an ask, which seeds it, does not depend on how often candidates were refused before.
    """

    def __init__(self) -> None:
        self._next = 0
        self._refused: list[Mapping[str, Any]] = []

    @property
    def refused(self) -> tuple[Mapping[str, Any], ...]:
        """Parameters of the candidates that were refused since the last one was accepted."""
        return tuple(self._refused)

    def take(self) -> int:
        """The number of the next ask."""
        self._next += 1
        return self._next - 1

    def refuse(self, candidate: Candidate) -> None:
        """Take note of a candidate that was refused."""
        self._refused.append(dict(candidate.params))

    def accept(self) -> None:
        """The last candidate was accepted: the next ask begins a block of its own."""
        self._next = -(-self._next // MOST_ASKS) * MOST_ASKS
        self._refused = []

    def go_to(self, asked: Asked | None) -> tuple[Mapping[str, Any], ...]:
        """Go to where the asks for a proposal of the record began; the candidates that were refused before it."""
        if asked is None:
            return ()
        self._next = asked.number - len(asked.refused)
        return tuple(asked.refused)


def sampler_of(
    study: Study,
    fixed: FixedRecipes,
    planned: Callable[[Recipe], float] | None = None,
    past_trials: Sequence[PastTrial] = (),
) -> Sampler:
    """The sampler that a study names.

    Args:
        study: whose space to propose from.
        fixed: its fixed recipes.
        planned: FLOPs that a recipe will have cost after its whole schedule, for a sampler that heeds them.
        past_trials: what earlier runs teach.
    """
    module, _, name = SAMPLERS[study.sampler.kind].partition(":")
    make = cast(Callable[..., Sampler], getattr(import_module(module), name))
    return make(study, fixed, planned, past_trials)


def same_recipe(proposal: Proposal, recipe: Recipe) -> Recipe:
    """The recipe of a proposal on record. Raises TemperError if its parameters make another one now."""
    if recipe.id != proposal.recipe.id:
        raise TemperError(f"recipe {proposal.recipe.id}: its parameters make another recipe now")
    return recipe
