"""Computes how the hypervolume of a search grew, by proposals and by their compute."""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.pareto.dominance import Front, to_costs
from analysis.pareto.frontier import CANDIDATES, compute_metric, eligible, metric
from analysis.pareto.hypervolume import hypervolume, log_compute
from analysis.pareto.reference_point import reference_point_of
from analysis.run.trials import Run, Trial
from trainables.evaluation.metrics import own_flops
from trainables.execution.ending import State


class GrowingHypervolume:
    """The hypervolume of points that are added one after another.

    Only those on their own frontier are kept, so that ten thousand take seconds.

    Attributes:
        area: of the points that were added so far, in robust accuracy × decades of compute.
    """

    def __init__(self, point: NDArray[np.float64]) -> None:
        """Start without points. `point` is `(2,)`, the reference point: robust accuracy, and decades of compute."""
        self._point, self._front, self.area = point, Front(2), 0.0

    def add(self, robust_accuracy: float, flops: float) -> None:
        """Add a point: robust accuracy (0–1), and compute in FLOPs."""
        if self._front.add(np.array([-robust_accuracy, log_compute(flops)])):
            self.area = hypervolume(self._front.costs * np.array([-1.0, 1.0]), self._point)


@dataclass(frozen=True)
class Growth:
    """How the hypervolume of a search grew, in the order in which its proposals ended.

    Attributes:
        flops: `(endings,)` compute of all proposals so far, FLOPs, rising; those that were stopped count too.
        hypervolume: `(endings,)` robust accuracy × decades of compute.
    """

    flops: NDArray[np.float64]
    hypervolume: NDArray[np.float64]

    def at(self, flops: float) -> float:
        """Return the hypervolume once so much compute was spent; 0 before the first proposal has ended."""
        place = int(np.searchsorted(self.flops, flops, side="right")) - 1
        return float(self.hypervolume[place]) if place >= 0 else 0.0


def growth(run: Run, point: NDArray[np.float64]) -> Growth:
    """Add up what proposals spent as they ended; of one that was stopped, the epochs that it ran.

    Teachers are counted as nothing, and bases once each, if end-to-end compute is the objective: further proposals that
    start from a base spend nothing on it.

    Args:
        run: the run.
        point: `(2,)` the reference point: robust accuracy (0–1), and decades of compute.
    """
    compute = compute_metric(run.info)
    ended = [trial for trial in run.trials if trial.role == "proposed" and trial.order is not None]
    spent, found, bases = 0.0, GrowingHypervolume(point), set[str]()
    flops, areas = [], []
    for trial in sorted(ended, key=lambda one: (one.order or 0, one.number)):
        numbers = trial.metrics if trial.metrics else trial.history[-1] if trial.history else {}
        spent += own_flops(numbers)
        base = json.dumps(trial.recipe.get("base"), sort_keys=True) if compute == "end_to_end_flops" else None
        if base is not None and base not in bases:
            bases.add(base)
            spent += max(0.0, float(numbers.get(compute) or 0.0) - float(numbers.get("train_flops") or 0.0))
        if trial.state is State.COMPLETE and eligible(run, trial):
            found.add(metric(trial, "robust_accuracy"), metric(trial, compute))
        flops.append(spent)
        areas.append(found.area)
    return Growth(np.array(flops), np.array(areas))


def hypervolume_history(run: Run) -> pd.DataFrame:
    """Return how the hypervolume of a search grew: one row for each finished proposal, in the order of finishing.

    It is the hypervolume of the proposals that satisfy the study's constraints and are better than chance. The table is
    empty unless base and reference have finished, whose numbers make the reference point.

    Returns:
        Columns order (int64), trial (string), hypervolume (float64) and frontier_size (int64: number of recipes on the
        frontier at that moment, baselines included).
    """
    types = {"order": "int64", "trial": "string", "hypervolume": "float64", "frontier_size": "int64"}
    point, compute, objectives = reference_point_of(run), compute_metric(run.info), run.info["objectives"]
    names = [str(one["metric"]) for one in objectives]
    directions = [str(one["direction"]) for one in objectives]
    rows: list[dict[str, object]] = []
    if point is not None:
        found, front = GrowingHypervolume(point), Front(len(names))
        complete = [trial for trial in run.trials if trial.state is State.COMPLETE and trial.role in CANDIDATES]
        for trial in sorted(complete, key=lambda one: (_order(one), one.number)):
            kept = eligible(run, trial)
            if kept:
                front.add(to_costs(np.array([metric(trial, name) for name in names]), directions))
            if trial.role != "proposed":
                continue
            if kept:
                found.add(metric(trial, "robust_accuracy"), metric(trial, compute))
            numbers = {"hypervolume": found.area, "frontier_size": len(front.costs)}
            rows.append({"order": _order(trial), "trial": trial.id, **numbers})
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def _order(trial: Trial) -> int:
    return -1 if trial.order is None else trial.order
