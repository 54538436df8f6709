"""What happens in a search, as data, and who may listen to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from search.study.resources import Role
from trainables.execution.ending import Ending, State
from trainables.recipe.recipe import Recipe

Row = Mapping[str, Any]  # one epoch of a history, see `trainables.evaluation.metrics`


@dataclass(frozen=True)
class Asked:
    """When a sampler was asked for a proposal. A resumed search asks again in the same order, with the same seeds.

    Attributes:
        number: of the ask, which seeds it.
        endings: trials of the search that had ended by then.
        refused: parameters of the candidates that were refused just before, since they had been proposed already.
        attributes: what the sampler noted on the trial, to read while it runs.
    """

    number: int
    endings: int
    refused: Sequence[Mapping[str, Any]] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """One recipe and why it runs.

    Attributes:
        number: order of proposing, from 0.
        params: what the sampler chose, empty for fixed recipes.
        distributions: what it chose from, as Optuna's JSON.
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
    """What became of one trial.

    Attributes:
        ending: how it ended.
        metrics: final numbers of a complete trial, else None.
        seconds: time that the trial kept its slot busy.
        node: of the cluster, where it ran last, by Ray's id.
        robust_correct: per validation example, packed bits as hex; `examples` of them.
    """

    ending: Ending
    metrics: Mapping[str, float] | None
    seconds: float
    robust_correct: str | None = None
    examples: int | None = None
    node: str | None = None

    @property
    def state(self) -> State:
        """COMPLETE, PRUNED or FAIL."""
        return self.ending.state

    @property
    def reason(self) -> str | None:
        """Why it ended, for people; None where there is nothing to say."""
        return self.ending.detail


class Listener:
    """Hears of a search, in the driver and in the order in which things happen; override what matters.

    A resumed search tells its listeners first what happened before, see `search.resume.replay`.

    Attributes:
        live_only: it does not hear of what happened before: what was written or shown once is not written again.
    """

    live_only: ClassVar[bool] = False

    def proposed(self, proposal: Proposal) -> None:
        """A recipe is about to run; called once for each."""

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        """It has finished an epoch.

        Args:
            proposal: that the recipe ran for.
            row: the epoch's row of its history.
            ending: how the trial ends with this epoch; None: it goes on.
        """

    def closed(self, reason: str) -> None:
        """Nothing more will be proposed, though not all trials of the budget were."""

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        """It has ended; called once for each."""
