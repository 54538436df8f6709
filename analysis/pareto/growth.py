"""Computes how the hypervolume of a search grew with the compute of its proposals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.pareto.frontier import compute_metric, eligible, metric
from analysis.pareto.hypervolume import hypervolume, log_compute
from analysis.run.trials import Run
from trainables.execution.ending import State


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
    """Add up what proposals cost as they ended; of one that was stopped, the epochs that it ran.

    Args:
        run: the run.
        point: `(2,)` the reference point: robust accuracy (0–1), and decades of compute.
    """
    compute = compute_metric(run.info)
    ended = [trial for trial in run.trials if trial.role == "proposed" and trial.order is not None]
    spent, area, front = 0.0, 0.0, np.empty((0, 2))
    flops, areas = [], []
    for trial in sorted(ended, key=lambda one: (one.order or 0, one.number)):
        if trial.state is State.COMPLETE:
            spent += max(0.0, np.nan_to_num(metric(trial, compute)))
            new = np.array([metric(trial, "robust_accuracy"), log_compute(metric(trial, compute))])
            if eligible(run, trial) and not ((front[:, 0] >= new[0]) & (front[:, 1] <= new[1])).any():
                worse = (front[:, 0] <= new[0]) & (front[:, 1] >= new[1])
                front = np.vstack([front[~worse], new])  # what the new one dominates adds nothing to the area
                area = hypervolume(front, point)
        elif trial.history:
            spent += float(trial.history[-1].get(compute) or 0.0)
        flops.append(spent)
        areas.append(area)
    return Growth(np.array(flops), np.array(areas))
