"""The hypervolume of a frontier, over robust accuracy and decades of compute."""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.pareto.frontier import compute_metric, frontier_candidates, members, metric
from analysis.run.trials import Run, Trial


def hypervolume(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """The area that the points dominate, bounded by the reference point; exact in two dimensions.

    Points that do not beat the reference in both coordinates, or are not finite, contribute nothing.

    Args:
        points: `(points, 2)`: robust accuracy (0–1, maximised) and log10 of compute in FLOPs (minimised).
        reference: `(2,)`, in the same coordinates.

    Returns:
        Area in robust accuracy × decades of compute.
    """
    robust, compute = float(reference[0]), float(reference[1])
    inside = points[np.isfinite(points).all(axis=1) & (points[:, 0] > robust) & (points[:, 1] < compute)]
    area, best = 0.0, robust
    for accuracy, cost in inside[np.argsort(inside[:, 1], kind="stable")]:
        if accuracy > best:  # a slab of accuracies whose cheapest holder is this point
            area += (accuracy - best) * (compute - cost)
            best = accuracy
    return float(area)


def hypervolume_history(run: Run) -> pd.DataFrame:
    """How the frontier grew: one row after each COMPLETE baseline and proposal, in the order of finishing.

    The reference point is fixed for the run: the robust accuracy of the ordinary base, and 1.1 times the compute of
    the reference baseline. Both must have finished; the table is empty otherwise.

    Returns:
        Columns order (int64), trial (string), hypervolume (float64), frontier_size (int64).
    """
    types = {"order": "int64", "trial": "string", "hypervolume": "float64", "frontier_size": "int64"}
    point = _reference_point(run)
    rows = []
    if point is not None:
        compute = compute_metric(run.info)
        ordered = sorted(frontier_candidates(run), key=lambda trial: (_order(trial), trial.number))
        plane = np.array([[metric(trial, "robust_accuracy"), _log10(metric(trial, compute))] for trial in ordered])
        rows = [
            {
                "order": _order(trial),
                "trial": trial.id,
                "hypervolume": hypervolume(plane[:count], point),
                "frontier_size": len(members(ordered[:count], run.info)),
            }
            for count, trial in enumerate(ordered, start=1)
        ]
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def _reference_point(run: Run) -> NDArray[np.float64] | None:
    base, reference = run.base, run.reference
    if base is None or reference is None:
        return None
    compute = metric(reference, compute_metric(run.info))
    point = np.array([metric(base, "robust_accuracy"), _log10(1.1 * compute)])
    return point if np.isfinite(point).all() else None


def _order(trial: Trial) -> int:
    return -1 if trial.order is None else trial.order


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan


SLACK = 1.1  # the hypervolume's reference point lies at so many times the reference's compute
