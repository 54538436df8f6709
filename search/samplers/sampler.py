"""Defines the interface of every sampler, which proposes recipes, and makes the sampler that a study names."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, cast

from analysis.run.trials import Estimates
from search.events import Asked, Listener, Proposal
from search.recipes.fixed import FixedRecipes
from search.resume.history import RememberedTrial
from search.samplers.limits import Limits
from search.samplers.warm_start import PastTrial
from search.study.algorithms import SAMPLERS
from search.study.study import Study
from trainables.errors import TemperError
from trainables.recipe.recipe import Recipe

ASKS = 1_000_003  # distance of the first asks' seeds of studies with neighbouring seeds, so that they share no draw
MOST_ASKS = 64  # numbers of asks that are set aside for each proposal; more than may be refused in a row


@dataclass(frozen=True)
class Candidate:
    """A recipe that a sampler suggests. It becomes a proposal if the search accepts it.

    It is made once, and handed from the ask to the record.

    Attributes:
        recipe: the recipe that the parameters make.
        params: the chosen parameters, by name.
        distributions: what they were chosen from, as Optuna's JSON.
        ask: number of the ask that the candidate answers.
        features: the parameters as coordinates in [0, 1], for a sampler that models scores over them.
        flops: FLOPs that the recipe's whole schedule will spend, without those of its base and its teacher, for a
            sampler that considers them; NaN: unknown.
        refused: parameters of the candidates that were refused since the last one was accepted.
        worth: the most that any candidate was expected to gain, for what the whole budget would buy of the like, as a
            share of the hypervolume that was found; infinite: not known.
        planned: its metrics that follow from the recipe before it runs, for a sampler that plans with them.
        attributes: what the sampler noted on its own trial, which it reads again while the trial runs; plain data that
            is kept in the record.
    """

    recipe: Recipe
    params: Mapping[str, Any]
    distributions: Mapping[str, str]
    ask: int
    features: Mapping[str, float] = field(default_factory=dict)
    flops: float = float("nan")
    refused: tuple[Mapping[str, Any], ...] = ()
    worth: float = math.inf
    planned: Mapping[str, float] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchState:
    """What a sampler is told about the search when it is asked for a candidate.

    Attributes:
        budget_left: share of the budget that is left, 0–1.
        base_metrics: final numbers of the ordinary base.
        is_lost: returns whether a recipe can never run, since its base or its teacher ended without weights.
        limits: what is limited, and what of it is left; None: FLOPs are, by whatever amount.
    """

    budget_left: float
    base_metrics: Mapping[str, float]
    is_lost: Callable[[Recipe], bool] = lambda recipe: False
    limits: Limits | None = None


class Sampler(Listener, ABC):
    """Base of every sampler: proposes recipes that start from the ordinary base, and learns from their results.

    What a sampler proposes depends only on the events that it was told, in their order, and on the ask's number. So
    its state is never saved: a resumed search tells it the past, and goes on as an unbroken search would have.

    Attributes:
        considers_compute: whether it asks what its candidates will cost; it is then asked for none before their
            networks have been counted.
        models_scores: whether it models the scores of recipes, so that it has estimates of those that finished.
    """

    considers_compute: ClassVar[bool] = False
    models_scores: ClassVar[bool] = False

    @abstractmethod
    def ask(self, search: SearchState) -> Candidate | None:
        """Return the next candidate, or None if every recipe of the space was proposed."""

    @abstractmethod
    def accept(self, candidate: Candidate) -> None:
        """Note that the last candidate becomes a proposal. `proposed`, `reported` and `ended` will tell of it."""

    @abstractmethod
    def refuse(self, candidate: Candidate) -> None:
        """Note that the last candidate was proposed before or can never run. Another ask follows."""

    def put_back(self) -> None:
        """Note that the last candidate is not wanted now. The next ask has its number again."""
        raise TemperError("this sampler does not tell what its candidates are worth, so none is put back")

    @abstractmethod
    def forget(self, candidate: Candidate) -> None:
        """Forget a candidate that was accepted, but will not run after all."""

    @abstractmethod
    def restore(self, proposal: Proposal, *, has_ended: bool = False) -> Candidate:
        """Repeat the ask for a past proposal, and accept it, when a search is resumed.

        Args:
            proposal: the past proposal.
            has_ended: whether `ended` will tell its outcome before the next ask; then nothing need be found out that is
                asked of running proposals alone.

        Raises:
            TemperError: its parameters make another recipe now.
        """

    def estimates(self) -> Estimates:
        """Return what its model makes of the proposals that finished; nothing if it has none, or not yet."""
        return {}


class Restoring(Listener):
    """Makes the sampler of a resumed search repeat the ask of each past proposal, before it is told of the proposal."""

    def __init__(self, sampler: Sampler, past: Sequence[RememberedTrial]) -> None:
        """Create it for a sampler, and the past that it will be told of."""
        self._sampler = sampler
        self._ended = {one.proposal.recipe.id for one in past if one.outcome is not None}

    def proposed(self, proposal: Proposal) -> None:
        if proposal.role == "proposed":
            self._sampler.restore(proposal, has_ended=proposal.recipe.id in self._ended)


class Asks:
    """Numbers the asks of one search. The number of an ask seeds it.

    A block of numbers is set aside for each proposal, of which the refused candidates before it take some. So an ask's
    number does not depend on how many candidates were refused for earlier proposals.
    """

    def __init__(self) -> None:
        self._next = 0
        self._refused: list[Mapping[str, Any]] = []

    @property
    def refused(self) -> tuple[Mapping[str, Any], ...]:
        """Parameters of the candidates that were refused since the last one was accepted."""
        return tuple(self._refused)

    def take(self) -> int:
        """Return the number of the next ask, and count on."""
        self._next += 1
        return self._next - 1

    def refuse(self, candidate: Candidate) -> None:
        """Note a candidate that was refused."""
        self._refused.append(dict(candidate.params))

    def put_back(self) -> None:
        """Count back: the number of the last ask is not used."""
        self._next -= 1

    def accept(self) -> None:
        """Note that the last candidate was accepted: the next ask begins a new block of numbers."""
        self._next = -(-self._next // MOST_ASKS) * MOST_ASKS
        self._refused = []

    def go_to(self, asked: Asked | None) -> tuple[Mapping[str, Any], ...]:
        """Set the next number to that of the first ask for a past proposal, when a search is resumed.

        Args:
            asked: when the sampler was asked for the proposal; None: not recorded, so the numbers go on as they are.

        Returns:
            The parameters of the candidates that were refused just before the proposal.
        """
        if asked is None:
            return ()
        self._next = asked.number - len(asked.refused)
        return tuple(asked.refused)


def sampler_of(
    study: Study,
    fixed: FixedRecipes,
    planned: Callable[[Recipe], Mapping[str, float]] | None = None,
    past_trials: Sequence[PastTrial] = (),
) -> Sampler:
    """Make the sampler that a study names.

    Args:
        study: the study, from whose space it proposes.
        fixed: its fixed recipes.
        planned: returns the metrics of a recipe that follow from it before it runs, for a sampler that considers
            them: its compute, as the study counts it, and what else of its objectives is foreseen.
        past_trials: proposals of earlier runs from which it learns.
    """
    module, _, name = SAMPLERS[study.sampler.kind].partition(":")
    make = cast(Callable[..., Sampler], getattr(import_module(module), name))
    return make(study, fixed, planned, past_trials)


def considers_compute(study: Study) -> bool:
    """Return whether the sampler that a study names asks what recipes cost, so that it spreads a budget over them."""
    module, _, name = SAMPLERS[study.sampler.kind].partition(":")
    return bool(getattr(getattr(import_module(module), name), "considers_compute", False))


def same_recipe(proposal: Proposal, recipe: Recipe) -> Recipe:
    """Check that a past proposal's parameters still make its recipe, and return the proposal's, which knows its id.

    Args:
        proposal: the past proposal.
        recipe: the recipe that its parameters make now.

    Raises:
        TemperError: it is another recipe.
    """
    recorded = proposal.recipe
    if recipe != recorded and recipe.id != recorded.model_copy().id:  # its own id may be as the record has it
        raise TemperError(f"recipe {proposal.recipe.id}: its parameters make another recipe now")
    return recorded
