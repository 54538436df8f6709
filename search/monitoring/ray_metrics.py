"""A search as metrics of Ray, which Prometheus reads from every node; `cluster/grafana/temper.json` shows them."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from search.events import Listener, Outcome, Proposal
from search.monitoring.hypervolume import Hypervolume
from search.resume.history import Remembered

GAUGES = {
    "temper_planned": "Recipes that the study runs at most.",
    "temper_slots": "Trials that the cluster has room for.",
    "temper_running": "Recipes that were proposed and have not ended.",
    "temper_ended": "Recipes that have ended, by state.",
    "temper_hypervolume": "Of finished proposals, in robust accuracy times decades of compute.",
    "temper_robust_accuracy": "Of the most robust finished proposal.",
}
COUNTERS = {
    "temper_epochs": "Epochs of training.",
    "temper_flops": "FLOPs of training and scoring.",
    "temper_busy_seconds": "Seconds for which trials that have ended kept their slots busy.",
}


class Sink(Protocol):
    """Where metrics go."""

    def set(self, name: str, value: float, **tags: str) -> None:
        """A gauge has this value now."""

    def add(self, name: str, value: float) -> None:
        """A counter has grown."""


class RayMetrics:
    """Metrics of the Ray cluster that this process has joined, each with the run's name."""

    def __init__(self, run: str) -> None:
        """Args: the run's name."""
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
    """Tells a sink of what happens in a search."""

    def __init__(self, sink: Sink, hypervolume: Hypervolume, *, planned: int, slots: Callable[[], int]) -> None:
        """Args:
        sink: where metrics go.
        hypervolume: of the study's proposals.
        planned: recipes that it runs at most.
        slots: that the cluster has at this moment.
        """
        self._sink, self._hypervolume, self._slots = sink, hypervolume, slots
        self._running = 0
        self._ended: dict[str, int] = {}
        self._best = 0.0
        sink.set("temper_planned", planned)
        self._told()

    def replay(self, past: Sequence[Remembered]) -> None:
        """Count what had ended before the search went on; what it computed then is not counted again."""
        for one in sorted(past, key=lambda one: one.order):
            self._running += 1
            if one.outcome is not None:
                self._take(one.proposal, one.outcome)
        self._told()

    def proposed(self, proposal: Proposal) -> None:
        self._running += 1
        self._told()

    def reported(self, proposal: Proposal, row: dict[str, Any]) -> None:
        self._sink.add("temper_epochs", 1)
        self._sink.add("temper_flops", float(row.get("epoch_flops") or 0.0))
        self._sink.set("temper_slots", self._slots())

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        self._sink.add("temper_busy_seconds", outcome.seconds)
        self._take(proposal, outcome)
        self._told()

    def _take(self, proposal: Proposal, outcome: Outcome) -> None:
        self._hypervolume.ended(proposal, outcome)
        self._running -= 1
        self._ended[outcome.state.value] = self._ended.get(outcome.state.value, 0) + 1
        if proposal.role == "proposed" and outcome.metrics is not None:
            self._best = max(self._best, outcome.metrics["robust_accuracy"])

    def _told(self) -> None:
        self._sink.set("temper_slots", self._slots())
        self._sink.set("temper_running", self._running)
        for state, count in self._ended.items():
            self._sink.set("temper_ended", count, state=state)
        hypervolume = self._hypervolume.of_first(self._hypervolume.finished)
        if hypervolume is not None:
            self._sink.set("temper_hypervolume", hypervolume)
        if self._best:
            self._sink.set("temper_robust_accuracy", self._best)
