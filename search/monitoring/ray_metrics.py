"""Publishes a search as metrics of Ray, which Prometheus reads from every node.

The dashboard `cluster/grafana/temper.json` shows them.
"""

from collections.abc import Callable
from typing import ClassVar, Protocol

from search.events import Listener, Outcome, Proposal, Row
from search.monitoring.hypervolume import Hypervolume
from search.monitoring.tally import Tally
from trainables.execution.ending import Ending

GAUGES = {
    "temper_planned": "Recipes that the study runs at most.",
    "temper_slots": "Trials that the cluster has room for.",
    "temper_running": "Recipes that were proposed and have not ended.",
    "temper_ended": "Recipes that have ended, by state.",
    "temper_hypervolume": "Of finished proposals, in robust accuracy times decades of compute.",
    "temper_robust_accuracy": "Of the best-scored finished proposal.",
}
COUNTERS = {
    "temper_epochs": "Epochs of training.",
    "temper_flops": "FLOPs of training and scoring.",
    "temper_busy_seconds": "Seconds for which trials that have ended kept their slots busy.",
}


class Sink(Protocol):
    """Receives gauges and counters by name: Ray's metrics, or a stand-in for them in a test."""

    def set(self, name: str, value: float, **tags: str) -> None:
        """Set a gauge to a value.

        Args:
            name: of the gauge.
            value: its value from now on.
            tags: labels that tell several values of one gauge apart.
        """

    def add(self, name: str, value: float) -> None:
        """Raise a counter by a value."""


class RayMetrics:
    """Sets the metrics of the Ray cluster that this process has joined, each labelled with the run's name."""

    def __init__(self, run: str) -> None:
        """Register the gauges and counters with Ray, which must have been started.

        Args:
            run: the run's name.
        """
        from ray.util.metrics import Counter, Gauge

        self._run = run
        tags = {"temper_ended": ("run", "state")}
        self._gauges = {name: Gauge(name, text, tags.get(name, ("run",))) for name, text in GAUGES.items()}
        self._counters = {name: Counter(name, text, ("run",)) for name, text in COUNTERS.items()}

    def set(self, name: str, value: float, **tags: str) -> None:
        self._gauges[name].set(value, {"run": self._run, **tags})

    def add(self, name: str, value: float) -> None:
        if value > 0:
            self._counters[name].inc(value, {"run": self._run})


class Monitor(Listener):
    """Turns the events of a search into metrics. A resumed search does not count again what was counted before."""

    live_only: ClassVar[bool] = True

    def __init__(
        self, sink: Sink, tally: Tally, hypervolume: Hypervolume, *, planned: int, slots: Callable[[], int]
    ) -> None:
        """Set every gauge to its first value.

        Args:
            sink: receives the metrics.
            tally: counts of the search; it must be told of each event before this listener is.
            hypervolume: hypervolume of the search's proposals; it must be told first, too.
            planned: number of recipes that the search runs at most.
            slots: returns the number of slots that the cluster has at this moment.
        """
        self._sink, self._tally, self._hypervolume, self._slots = sink, tally, hypervolume, slots
        sink.set("temper_planned", planned)
        self.show()

    def proposed(self, proposal: Proposal) -> None:
        self.show()

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        self._sink.add("temper_epochs", 1)
        self._sink.add("temper_flops", float(row.get("epoch_flops") or 0.0))
        self._sink.set("temper_slots", self._slots())

    def left_unfinished(self, proposal: Proposal, reason: str) -> None:
        self.show()

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        self._sink.add("temper_busy_seconds", outcome.seconds)
        self.show()

    def show(self) -> None:
        """Set every gauge to what is known now."""
        self._sink.set("temper_slots", self._slots())
        self._sink.set("temper_running", self._tally.running)
        for state, count in self._tally.ended_by_state.items():
            self._sink.set("temper_ended", count, state=state.value)
        hypervolume = self._hypervolume.of_first(self._hypervolume.finished)
        if hypervolume is not None:
            self._sink.set("temper_hypervolume", hypervolume)
        if self._tally.best is not None:
            self._sink.set("temper_robust_accuracy", self._tally.best["robust_accuracy"])
