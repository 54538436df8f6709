"""Defines the events of a search as data (proposals, outcomes), and the protocol of the listeners that are told."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from search.study.resources import Role
from trainables.execution.ending import Ending, State
from trainables.recipe.recipe import Recipe

Row = Mapping[str, Any]  # one epoch of a history, see `trainables.evaluation.metrics`


@dataclass(frozen=True)
class Asked:
    """Records when the sampler was asked for a proposal, so that a resumed search can repeat the ask.

    A resumed search asks in the same order and with the same seeds.

    Attributes:
        number: number of the ask, from which its seed is made.
        endings: number of the search's trials that had ended when the sampler was asked.
        refused: parameters of the candidates that were refused just before, since they had been proposed already.
        attributes: what the sampler noted on its own trial, which it reads again while the trial runs.
    """

    number: int
    endings: int
    refused: Sequence[Mapping[str, Any]] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """A recipe that the search runs, with the reason why it runs.

    Fixed recipes (bases, baselines, a grid's) are proposals too, of another role than "proposed".

    Attributes:
        recipe: the recipe.
        role: why it runs.
        name: name of a fixed recipe; None for what the sampler proposed.
        number: order of proposing, from 0.
        params: parameters that the sampler chose; empty for fixed recipes.
        distributions: the distributions that it chose them from, as Optuna's JSON.
        asked: when the sampler was asked; None for fixed recipes, and in runs that did not record it.
    """

    recipe: Recipe
    role: Role
    name: str | None
    number: int
    params: Mapping[str, Any] = field(default_factory=dict)
    distributions: Mapping[str, str] = field(default_factory=dict)
    asked: Asked | None = None


@dataclass(frozen=True)
class Outcome:
    """The result of a trial that has ended.

    Attributes:
        ending: how it ended.
        metrics: final numbers of a complete trial, else None.
        seconds: time for which the trial kept its slot busy.
        robust_correct: whether each validation example was classified correctly under attack: packed bits as hex.
        examples: number of validation examples, which is the number of those bits.
        node: Ray's id of the cluster's node where it ran last.
    """

    ending: Ending
    metrics: Mapping[str, float] | None
    seconds: float
    robust_correct: str | None = None
    examples: int | None = None
    node: str | None = None

    @property
    def state(self) -> State:
        """Optuna's state of the trial: COMPLETE, PRUNED or FAIL."""
        return self.ending.state

    @property
    def reason(self) -> str | None:
        """The reason for its end in words, for people to read; None only where it is complete."""
        return self.ending.reason


class Listener:
    """Base of everything that follows a search: record, monitoring, sampler, budget. Override the events that matter.

    Events are told in the driver, in the order in which they happen. A resumed search first tells its listeners what
    happened before it was interrupted, see `search.resume.replay`.

    Attributes:
        live_only: whether to skip what happened before a resume, since it was written or shown already.
        last_epoch_only: whether each epoch replaces what it was told of the one before, so that of a trial from before
            a resume the last one is enough.
    """

    live_only: ClassVar[bool] = False
    last_epoch_only: ClassVar[bool] = False

    def proposed(self, proposal: Proposal) -> None:
        """Called once for each recipe, when it is about to run."""

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        """Called when a trial has finished an epoch.

        Args:
            proposal: the proposal that the trial runs.
            row: the epoch's row of its history.
            ending: how the trial ends with this epoch; None: it goes on.
        """

    def left_unfinished(self, proposal: Proposal, reason: str) -> None:
        """Called when a trial's process or node was lost for good: it has not ended, and a resumed search runs it.

        Args:
            proposal: the proposal that the trial ran.
            reason: what was lost, in words.
        """

    def closed(self, reason: str) -> None:
        """Called when nothing more will be proposed although the budget has trials left.

        Args:
            reason: why, in words.
        """

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        """Called once for each trial, when it has ended."""


class Listeners(Listener):
    """Tells several listeners of each event.

    An error of a listener, as of a full storage, is raised, and again by each `check`: Tune takes one that is raised
    while a trial ends for an error of the trial, and begins it anew.

    Attributes:
        several: the listeners, in the order in which they are told.
    """

    def __init__(self, several: Sequence[Listener]) -> None:
        """Create it, for listeners that are told in this order."""
        self.several = list(several)
        self._fault: Exception | None = None

    def check(self) -> None:
        """Raise the first error that a listener has raised, if one has."""
        if self._fault is not None:
            raise self._fault

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._fault = self._fault or error
            raise

    def proposed(self, proposal: Proposal) -> None:
        with self._remembered():
            for one in self.several:
                one.proposed(proposal)

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        with self._remembered():
            for one in self.several:
                one.reported(proposal, row, ending)

    def left_unfinished(self, proposal: Proposal, reason: str) -> None:
        with self._remembered():
            for one in self.several:
                one.left_unfinished(proposal, reason)

    def closed(self, reason: str) -> None:
        with self._remembered():
            for one in self.several:
                one.closed(reason)

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        with self._remembered():
            for one in self.several:
                one.ended(proposal, outcome)
