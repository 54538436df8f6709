"""Computes the hypervolume of a frontier, over robust accuracy and decades of compute."""

import math

import numpy as np
from numpy.typing import NDArray


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
