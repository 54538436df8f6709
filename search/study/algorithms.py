"""How a search spends its effort, as data: how much, proposed by what, stopped when."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field, field_validator

from trainables.config import Frozen, PositiveFloat, PositiveInt


class Budget(Frozen):
    """How much to run. Whatever is reached first ends proposing; what runs then may finish.

    Attributes:
        trials: proposals, beside the base, the baselines and the grid.
        hours: of wall time.
        flops: marginal training FLOPs of all proposals together.
        patience: finished proposals in a row that gain no hypervolume.
        retries: times a trial that lost its process is started again, from its checkpoint.
        epoch_timeout: seconds from an epoch's start to its report, after which its process is taken for hung and
            killed; None: never. The first epoch takes building and compressing the network as well, the last one the
            full score.
    """

    trials: Annotated[int, Field(ge=0)] = 20
    hours: PositiveFloat | None = None
    flops: PositiveFloat | None = None
    patience: PositiveInt | None = None
    retries: Annotated[int, Field(ge=0)] = 1
    epoch_timeout: PositiveFloat | None = None


# The samplers that a study may name, and what makes each: a `search.samplers.sampler.Sampler`, imported when needed.
SAMPLERS: Mapping[str, str] = MappingProxyType(
    {
        "cost_aware": "search.samplers.cost_aware:CostAwareSampler",
        "tpe": "search.samplers.ask_and_tell:OptunaSampler",
        "nsga2": "search.samplers.ask_and_tell:OptunaSampler",
        "nsga3": "search.samplers.ask_and_tell:OptunaSampler",
        "gp": "search.samplers.ask_and_tell:OptunaSampler",
        "random": "search.samplers.ask_and_tell:OptunaSampler",
        "quasi_random": "search.samplers.ask_and_tell:OptunaSampler",
        "grid": "search.samplers.ask_and_tell:OptunaSampler",
    }
)
AUTO = "auto"


class Sampler(Frozen):
    """What proposes recipes; see `search.samplers`.

    Attributes:
        kind: `auto` stands for the cost-aware one where robust accuracy and one compute are the objectives, else TPE.
        startup_trials: random proposals before TPE, GP or the cost-aware one begin to learn.
        population: of NSGA-II and NSGA-III.
    """

    kind: str = AUTO
    startup_trials: PositiveInt = 8
    population: Annotated[int, Field(ge=2)] = 16

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind != AUTO and kind not in SAMPLERS:
            raise ValueError(f"got {kind!r}, expected one of {', '.join([AUTO, *SAMPLERS])}")
        return kind


class Halving(Frozen):
    """Asynchronous successive halving of proposals; see `search.halving.judge`.

    Attributes:
        reduction_factor: of those that reach a rung, one in so many goes on.
        grace: share of its schedule that every proposal trains before the first rung; each rung lies at
            `reduction_factor` times the share of the one before.
        brackets: proposals are dealt to so many ladders in turn, each of which leaves out one more of the first rungs.
        shortest: proposals of fewer epochs than this are never stopped.
        trusted: rank correlation of a rung with the final robust accuracy below which it stops nobody, once
            `trusted_after` that reached it have finished.
    """

    reduction_factor: Annotated[float, Field(gt=1)] = 3.0
    grace: Annotated[float, Field(gt=0, lt=1, description="a number in (0, 1)")] = 0.25
    brackets: PositiveInt = 1
    shortest: PositiveInt = 4
    trusted: Annotated[float, Field(ge=-1, le=1)] = 0.6
    trusted_after: PositiveInt = 20

    @property
    def ladders(self) -> tuple[tuple[float, ...], ...]:
        """By bracket, the shares of the schedule at its rungs; at least one, whatever it skips."""
        shares = [self.grace]
        while shares[-1] * self.reduction_factor < 1:
            shares.append(shares[-1] * self.reduction_factor)
        return tuple(tuple(shares[min(skipped, len(shares) - 1) :]) for skipped in range(self.brackets))
