"""Defines what a trial reports to the driver after an epoch; no other module knows the keys of Ray Tune's results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from trainables.evaluation.metrics import METRICS
from trainables.execution.ending import Ending, EndKind

Row = Mapping[str, Any]  # a row of a history: the metrics that `METRICS` marks as `each_epoch`, by name

_COLUMNS = tuple(name for name, one in METRICS.items() if one.each_epoch)
_METRICS = "metrics/"  # prefix of keys, because Tune flattens the results that searchers and schedulers get
_ENDING = "ending/"


@dataclass(frozen=True)
class Report:
    """The report of one epoch of one trial.

    Attributes:
        row: the epoch's row of the history; empty where the epoch failed.
        busy_seconds: seconds that the trial has kept its slot busy so far.
        node: Ray's id of the node that it runs on.
        ending: how the trial ended with this epoch; None while it continues.
        metrics: final numbers of a finished trial.
        robust_correct: for each validation example, whether it is labelled correctly under attack; packed bits in hex.
        examples: number of these examples.
    """

    row: Row
    busy_seconds: float
    node: str | None = None
    ending: Ending | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    robust_correct: str | None = None
    examples: int | None = None

    def as_result(self) -> dict[str, Any]:
        """Returns the report as a trainable's result for Ray Tune, which adds keys of its own."""
        result = {**self.row, "busy_seconds": self.busy_seconds, "node": self.node, "done": self.ending is not None}
        if self.ending is not None:
            result["ending"] = {"kind": self.ending.kind.value, "detail": self.ending.detail}
            result["metrics"] = dict(self.metrics)
            result |= {"robust_correct": self.robust_correct, "examples": self.examples}
        return result

    @classmethod
    def of_result(cls, result: Mapping[str, Any]) -> Self:
        """Reads a report back from a result as Tune passes it on, with nested keys joined by a slash."""
        kind = result.get(f"{_ENDING}kind")
        return cls(
            row={name: result[name] for name in _COLUMNS if name in result},
            busy_seconds=float(result.get("busy_seconds", 0.0)),
            node=result.get("node"),
            ending=None if kind is None else Ending(EndKind(kind), result.get(f"{_ENDING}detail")),
            metrics={
                key.removeprefix(_METRICS): float(value) for key, value in result.items() if key.startswith(_METRICS)
            },
            robust_correct=result.get("robust_correct"),
            examples=result.get("examples"),
        )
