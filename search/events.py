"""What happens in a search, as data, and who may listen to it."""

from dataclasses import dataclass, field
from typing import Any

from analysis.run.trials import State
from search.study.resources import Role
from trainables.recipe.recipe import Recipe


@dataclass(frozen=True)
class Proposal:
    """One recipe and why it runs.

    Attributes:
        number: order of proposing, from 0.
        params: what Optuna chose, empty for fixed recipes.
        distributions: what it chose from, as Optuna's JSON.
    """

    recipe: Recipe
    role: Role
    name: str | None
    number: int
    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How one trial ended. PRUNED teaches the sampler to stay away, FAIL (infrastructure) teaches it nothing.

    Attributes:
        metrics: final numbers of a complete trial, else None.
        seconds: time that the trial kept its slot busy.
        node: of the cluster, where it ran last, by Ray's id.
        robust_correct: per validation example, packed bits as hex; `examples` of them.
    """

    state: State
    reason: str | None
    metrics: dict[str, float] | None
    seconds: float
    robust_correct: str | None = None
    examples: int | None = None
    node: str | None = None


class Listener:
    """Hears of a search, in the driver and in the order in which things happen; override what matters."""

    def proposed(self, proposal: Proposal) -> None:
        """A recipe is about to run; called once for each."""

    def reported(self, proposal: Proposal, row: dict[str, Any]) -> None:
        """It has finished an epoch; `row` is that epoch's row of its history."""

    def closed(self, reason: str) -> None:
        """Nothing more will be proposed, though not all trials of the budget were."""

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        """It has ended; called once for each, before the sampler hears of it."""
