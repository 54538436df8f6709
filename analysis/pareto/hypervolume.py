"""Computes the hypervolume of a frontier, over robust accuracy and decades of compute."""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.pareto.frontier import CANDIDATES, compute_metric, eligible, members, metric
from analysis.pareto.reference_point import reference_point_of
from analysis.run.trials import Run, Trial
from trainables.execution.ending import State


def log_compute(flops: float) -> float:
    """Return decades of compute, the common logarithm of FLOPs; NaN for 0 FLOPs, which have no logarithm."""
    return math.log10(flops) if flops > 0 else math.nan


def hypervolume(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Return the area that the points dominate, bounded by the reference point; exact in two dimensions.

    Points that do not beat the reference in both coordinates, or are not finite, contribute nothing.

    Args:
        points: `(points, 2)`: robust accuracy (0–1, maximised) and log10 of compute in FLOPs (minimised).
        reference: `(2,)`, the reference point in the same coordinates.

    Returns:
        Area in robust accuracy × decades of compute.
    """
    robust, compute = float(reference[0]), float(reference[1])
    inside = points[np.isfinite(points).all(axis=1) & (points[:, 0] > robust) & (points[:, 1] < compute)]
    area, best = 0.0, robust
    for accuracy, cost in inside[np.argsort(inside[:, 1], kind="stable")]:
        if accuracy > best:  # adds a slab: of the accuracies between, this point is the cheapest to reach them
            area += (accuracy - best) * (compute - cost)
            best = accuracy
    return float(area)


def hypervolume_history(run: Run) -> pd.DataFrame:
    """Return how the hypervolume of a search grew: one row for each finished proposal, in the order of finishing.

    It is the hypervolume of the proposals that satisfy the study's constraints and are better than chance. The table is
    empty unless base and reference have finished, whose numbers make the reference point.

    Returns:
        Columns order (int64), trial (string), hypervolume (float64) and frontier_size (int64: number of recipes on the
        frontier at that moment, baselines included).
    """
    types = {"order": "int64", "trial": "string", "hypervolume": "float64", "frontier_size": "int64"}
    point = reference_point_of(run)
    rows: list[dict[str, object]] = []
    on_frontier: list[Trial] = []
    plane: list[tuple[float, float]] = []
    for trial in sorted(run.trials, key=lambda trial: (_order(trial), trial.number)):
        if point is None or trial.state is not State.COMPLETE:
            continue
        kept = eligible(run, trial)
        if kept and trial.role in CANDIDATES:
            on_frontier = members([*on_frontier, trial], run.info)
        if trial.role != "proposed":
            continue
        if kept:
            plane.append((metric(trial, "robust_accuracy"), log_compute(metric(trial, compute_metric(run.info)))))
        rows.append(
            {
                "order": _order(trial),
                "trial": trial.id,
                "hypervolume": hypervolume(np.array(plane).reshape(-1, 2), point),
                "frontier_size": len(on_frontier),
            }
        )
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def _order(trial: Trial) -> int:
    return -1 if trial.order is None else trial.order
