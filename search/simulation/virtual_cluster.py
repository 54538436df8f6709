"""A cluster in virtual time, as data, and a trial on it: what recorded curves let it report, and when."""

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
    """Virtual workers.

    Attributes:
        workers: how many.
        speeds: of the workers, dealt out in turn; 2 takes half of the recorded time.
        stretch: times the recorded seconds: what a larger network or data set would take.
        failures: seconds of computing from one failure of a worker to its next, on average (exponential); None: none.
        repair: seconds until a failed worker is back.
        decision: seconds that the driver takes for each decision; None: as measured on this machine.
        seed: of the failures.
    """

    workers: PositiveInt = 1
    speeds: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (1.0,)
    stretch: PositiveFloat = 1.0
    failures: PositiveFloat | None = None
    repair: Annotated[float, Field(ge=0)] = 60.0
    decision: Annotated[float, Field(ge=0)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    def speed(self, worker: int) -> float:
        """Of one worker, counted from 0."""
        return self.speeds[worker % len(self.speeds)]


class Stopper(Protocol):
    """The part of a Tune scheduler that a trial meets.

    Attributes:
        failures: how a trial failed, by its Tune id.
        stops: how a trial was stopped, by its Tune id.
    """

    failures: dict[str, Ending]
    stops: dict[str, Ending]

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None: ...

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str: ...

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None: ...

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None: ...


@dataclass
class VirtualTrial:
    """What Tune calls a trial, as far as searchers and schedulers look at one.

    Attributes:
        trial_id: Tune's.
        config: as the searcher suggested it.
        curve: what was recorded of its recipe.
        epoch: that is in progress, counted from 1.
        lost: times that its worker failed.
        busy: virtual seconds that were computed for it.
    """

    trial_id: str
    config: dict[str, Any]
    curve: Curve
    epoch: int = 1
    lost: int = 0
    busy: float = 0.0

    @property
    def row(self) -> Mapping[str, Any]:
        """That the epoch in progress will end with."""
        return self.curve.rows[self.epoch - 1]

    @property
    def is_last(self) -> bool:
        """Whether the epoch in progress is the recipe's last."""
        return self.epoch == len(self.curve.rows)

    @property
    def flops(self) -> float:
        """Marginal FLOPs of the epoch in progress; of the first one, with what comes before it."""
        before = self.curve.rows[self.epoch - 2]["train_flops"] if self.epoch > 1 else 0.0
        return float(self.row["train_flops"] - before)

    def result(self) -> dict[str, Any]:
        """The report of the epoch in progress, as Tune flattens it."""
        ending = self.curve.ending if self.is_last else None
        metrics = self.curve.metrics if self.is_last else {}
        report = Report(row=self.row, busy_seconds=self.busy, ending=ending, metrics=metrics)
        return dict(flatten_dict(report.as_result())) | {"training_iteration": self.epoch}

    def get_error(self) -> str:
        """Why it failed for good."""
        return f"its worker failed {self.lost} time{'s' if self.lost > 1 else ''}"
