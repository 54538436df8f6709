"""Describes how a search runs: its budget, the sampler that proposes recipes, and the halving that stops them early."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, field_validator

from trainables.config import Frozen, PositiveFloat, PositiveInt

Currency = Literal["trials", "hours", "flops"]  # what a budget limits, and so what a proposal costs


class Budget(Frozen):
    """The limits of a search. The limit that is reached first ends proposing; trials that run then may finish.

    Attributes:
        trials: number of proposals; the base, the baselines and the grid come on top.
        hours: hours of wall time; None: no limit.
        flops: training FLOPs of all proposals together, without those of their bases and teachers; None: no limit.
        patience: number of finished proposals in a row that gain no hypervolume; None: no limit.
        stop: `converged`: end when the best candidate is no longer expected to gain hypervolume worth its cost, see
            `search.running.budget`; only the cost-aware sampler knows that. None: only the limits end the search.
        retries: number of times that a trial which lost its process is started again, from its checkpoint.
        epoch_timeout: seconds that an epoch may take, from its start to its report, before its process counts as hung
            and is killed; None: any time. The first epoch includes building and compressing the network, the last one
            the full score.
    """

    trials: Annotated[int, Field(ge=0)] = 20
    hours: PositiveFloat | None = None
    flops: PositiveFloat | None = None
    patience: PositiveInt | None = None
    stop: Literal["converged"] | None = None
    retries: Annotated[int, Field(ge=0)] = 1
    epoch_timeout: PositiveFloat | None = None


# The samplers that a study may name, with the class of each, a `search.samplers.sampler.Sampler` that is imported late.
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
    """The sampler that proposes recipes, with its settings; see `search.samplers`.

    Attributes:
        kind: `cost_aware`, for which `auto` stands; `tpe`, `nsga2`, `nsga3`, `gp`, `random` or `quasi_random`; or
            `grid`, for a finite space.
        startup_trials: number of proposals before TPE, GP or the cost-aware sampler begins to learn from scores: random
            ones, and for the cost-aware sampler those whose scores will tell most.
        population: population size of NSGA-II and NSGA-III.
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
    """Settings of asynchronous successive halving, which stops unpromising proposals; see `search.halving.judge`.

    Attributes:
        reduction_factor: of the proposals that reach a rung, one in so many goes on.
        grace: share of its schedule that every proposal trains before the first rung, 0–1; each further rung lies at
            `reduction_factor` times the share of the one before.
        brackets: number of brackets, to which proposals are assigned in turn. Each bracket leaves out one more of the
            first rungs than the one before.
        shortest: proposals of fewer epochs than this are never stopped.
        trusted: rank correlation of a rung's scores with the final robust accuracy; a rung with a lower one stops no
            proposal, once `trusted_after` proposals that reached it have finished.
        trusted_after: number of finished proposals from which the correlation counts.
    """

    reduction_factor: Annotated[float, Field(gt=1)] = 3.0
    grace: Annotated[float, Field(gt=0, lt=1, description="a number in (0, 1)")] = 0.25
    brackets: PositiveInt = 1
    shortest: PositiveInt = 4
    trusted: Annotated[float, Field(ge=-1, le=1)] = 0.6
    trusted_after: PositiveInt = 20

    @property
    def ladders(self) -> tuple[tuple[float, ...], ...]:
        """The shares of the schedule at which the rungs lie, for each bracket; every bracket has at least one rung."""
        shares = [self.grace]
        while shares[-1] * self.reduction_factor < 1:
            shares.append(shares[-1] * self.reduction_factor)
        return tuple(tuple(shares[min(skipped, len(shares) - 1) :]) for skipped in range(self.brackets))
