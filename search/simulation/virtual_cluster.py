"""Describes a cluster in virtual time, and a trial on it that reports a recorded curve."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import Field
from ray.tune.utils.util import flatten_dict

from search.simulation.recording import Curve
from trainables.config import Frozen, PositiveFloat, PositiveInt
from trainables.execution.ending import Ending
from trainables.execution.report import Report


class VirtualCluster(Frozen):
    """The workers of a virtual cluster: their number, their speeds and their failures.

    Attributes:
        workers: number of workers; each runs one trial at a time.
        speeds: speeds of the workers, which take them in turn; a worker of speed 2 takes half of the recorded time.
        stretch: factor on all recorded seconds, for what a larger network or data set would take.
        failures: mean seconds of computing between two failures of a worker (exponentially distributed); None: none.
        repair: seconds until a failed worker is back.
        decision: seconds that the driver takes for each decision; None: as measured on this machine.
        seed: seed of the failures.
    """

    workers: PositiveInt = 1
    speeds: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (1.0,)
    stretch: PositiveFloat = 1.0
    failures: PositiveFloat | None = None
    repair: Annotated[float, Field(ge=0)] = 60.0
    decision: Annotated[float, Field(ge=0)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    def speed(self, worker: int) -> float:
        """Return the speed of a worker; workers are counted from 0."""
        return self.speeds[worker % len(self.speeds)]


class Stopper(Protocol):
    """The part of a Tune scheduler that the simulation calls, as `search.halving.scheduler` has it.

    Attributes:
        failures: how each failed trial failed, by Tune's trial id.
        stops: how each stopped trial was stopped, by Tune's trial id.
    """

    failures: dict[str, Ending]
    stops: dict[str, Ending]

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None: ...

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str: ...

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None: ...

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None: ...


@dataclass
class VirtualTrial:
    """Stands in for Tune's trial, with the attributes that searchers and schedulers read.

    Attributes:
        trial_id: Tune's trial id.
        config: its configuration, as the searcher suggested it.
        curve: the recorded curve of its recipe.
        epoch: the epoch in progress, counted from 1.
        lost: number of times that its worker failed.
        busy: virtual seconds for which workers have computed it.
    """

    trial_id: str
    config: dict[str, Any]
    curve: Curve
    epoch: int = 1
    lost: int = 0
    busy: float = 0.0

    @property
    def row(self) -> Mapping[str, Any]:
        """The row with which the epoch in progress will end."""
        return self.curve.rows[self.epoch - 1]

    @property
    def is_last(self) -> bool:
        """Whether the epoch in progress is the recipe's last."""
        return self.epoch == len(self.curve.rows)

    @property
    def flops(self) -> float:
        """Marginal FLOPs of the epoch in progress; those of the first epoch include what is spent before it."""
        before = self.curve.rows[self.epoch - 2]["train_flops"] if self.epoch > 1 else 0.0
        return float(self.row["train_flops"] - before)

    def result(self) -> dict[str, Any]:
        """Return the report of the epoch in progress, flattened as Tune does it."""
        ending = self.curve.ending if self.is_last else None
        metrics = self.curve.metrics if self.is_last else {}
        report = Report(row=self.row, busy_seconds=self.busy, ending=ending, metrics=metrics)
        return dict(flatten_dict(report.as_result())) | {"training_iteration": self.epoch}

    def get_error(self) -> str:
        """Return why the trial failed for good, in words."""
        return f"its worker failed {self.lost} time{'s' if self.lost > 1 else ''}"
