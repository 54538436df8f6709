"""How much of a search's budget is spent, and whether it is over."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.frontier import hypervolume
from search.effort import Budget
from search.events import Listener, Outcome, Proposal

SLACK = 1.1  # the hypervolume's reference point lies at so many times the reference's compute


class Spending(Listener):
    """Hears of a search and says when nothing more may be proposed. What runs then may finish."""

    def __init__(
        self, budget: Budget, *, base: str, reference: str, compute: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start the clock.

        Args:
            budget: of the study.
            base: id of the ordinary base, whose robust accuracy bounds the hypervolume.
            reference: id of the baseline whose compute bounds it.
            compute: the metric that it is over, `train_flops` or `end_to_end_flops`.
            clock: in seconds.
        """
        self._budget, self._base, self._reference, self._compute = budget, base, reference, compute
        self._clock, self._started = clock, clock()
        self._flops: dict[str, float] = {}
        self._bounds: dict[str, float] = {}
        self._points: list[tuple[float, float]] = []

    def reported(self, proposal: Proposal, row: dict[str, Any]) -> None:
        if proposal.role == "proposed" and row.get("train_flops") is not None:
            self._flops[proposal.recipe.id] = float(row["train_flops"])

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        metrics = outcome.metrics
        if metrics is None:
            return
        if proposal.role == "proposed":
            self._points.append((metrics["robust_accuracy"], metrics[self._compute]))
        elif proposal.recipe.id == self._base:
            self._bounds["robust"] = metrics["robust_accuracy"]
        elif proposal.recipe.id == self._reference:
            self._bounds["compute"] = metrics[self._compute]

    def left(self) -> float:
        """Share of hours or FLOPs that is left, of what is spent faster; 1 where neither is limited."""
        budget, shares = self._budget, [1.0]
        if budget.hours is not None:
            shares.append(1 - self._hours() / budget.hours)
        if budget.flops is not None:
            shares.append(1 - sum(self._flops.values()) / budget.flops)
        return max(0.0, min(shares))

    def over(self) -> str | None:
        """Why nothing more may be proposed, or None."""
        budget = self._budget
        if budget.hours is not None and self._hours() >= budget.hours:
            return f"{budget.hours:g} hours are over"
        flops = 0.0 if budget.flops is None else sum(self._flops.values())
        if budget.flops is not None and flops >= budget.flops:
            return f"proposals have spent {flops:.3g} FLOPs of {budget.flops:.3g}"
        if budget.patience is not None and not self._gained(budget.patience):
            return f"the last {budget.patience} finished proposals gained no hypervolume"
        return None

    def _hours(self) -> float:
        return (self._clock() - self._started) / 3600

    def _gained(self, last: int) -> bool:
        """Whether the last so many finished proposals gained hypervolume; so long as it has no bounds, they did."""
        if len(self._points) <= last or len(self._bounds) < 2:
            return True
        return self._hypervolume(len(self._points)) > self._hypervolume(len(self._points) - last)

    def _hypervolume(self, count: int) -> float:
        points = np.array([(robust, math.log10(max(flops, 1.0))) for robust, flops in self._points[:count]])
        bounds = np.array([self._bounds["robust"], math.log10(SLACK * self._bounds["compute"])])
        return hypervolume(points, bounds)
