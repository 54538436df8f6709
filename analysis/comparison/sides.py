"""Sums each of several runs up by the same yardstick, the reference point of the first that has one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.comparison.comparable import check_comparable
from analysis.comparison.differences import Difference, differences
from analysis.pareto.frontier import compute_metric, eligible, estimate, frontier, members, metric
from analysis.pareto.growth import Growth, growth
from analysis.pareto.reference_point import beyond, reference_point_of
from analysis.run.trials import Run, Trial
from trainables.errors import InvalidInput
from trainables.execution.ending import State

SHARES = (0.01, 0.02, 0.05, 0.1, 0.25, 1.0)  # of the reference's compute, at which the best score is told
PARTS = (0.1, 0.25, 0.5, 1.0)  # of the compute that all runs have spent, at which hypervolumes are told


@dataclass(frozen=True)
class Side:
    """One run in a comparison.

    Attributes:
        name: what it is called here: the last part of its folder, or all of it where others end alike.
        run: the run.
        frontier: its frontier, cheapest first.
        joint: ids of those on the frontier that no recipe of any run dominates.
        inside: number of its finished proposals and grid recipes inside the region.
        growth: how its hypervolume grew.
        best: for each share of the reference's compute, the recipe of its own that has the best score and costs no
            more, if any.
    """

    name: str
    run: Run
    frontier: tuple[Trial, ...]
    joint: frozenset[str]
    inside: int
    growth: Growth
    best: dict[float, Trial | None]


@dataclass(frozen=True)
class Comparison:
    """Several runs, held against each other.

    Attributes:
        sides: the runs, in the order in which they were given.
        point: `(2,)` the reference point: robust accuracy (0–1), and decades of compute.
        yardstick: name of the run whose reference and base it follows from.
        reference: that run's reference.
        compute: the metric of compute, `train_flops` or `end_to_end_flops`.
        differences: the keys in which the runs' studies differ.
    """

    sides: tuple[Side, ...]
    point: NDArray[np.float64]
    yardstick: str
    reference: Trial
    compute: str
    differences: tuple[Difference, ...]

    @property
    def spent(self) -> float:
        """FLOPs that the proposals of each run have spent at least, up to which hypervolumes can be compared."""
        return min(float(side.growth.flops[-1]) if len(side.growth.flops) else 0.0 for side in self.sides)


def compare(runs: Sequence[Run]) -> Comparison:
    """Hold runs against each other.

    Raises:
        InvalidInput: they cannot be compared, with all reasons; or no run has a finished base and reference, from which
            the reference point would follow.
    """
    check_comparable(runs)
    names = _names(runs)
    yardstick, point, reference = _yardstick(names, runs)
    compute = compute_metric(runs[0].info)
    frontiers = [frontier(run) for run in runs]
    joint = _joint(frontiers, runs)
    sides = tuple(
        Side(
            name=one,
            run=run,
            frontier=tuple(own),
            joint=frozenset(trial.id for trial in own if id(trial) in joint),
            inside=sum(eligible(run, trial) and beyond(point, trial, compute) is None for trial in _own(run)),
            growth=growth(run, point),
            best=_best(run, metric(reference, compute), compute),
        )
        for one, run, own in zip(names, runs, frontiers, strict=True)
    )
    return Comparison(sides, point, yardstick, reference, compute, tuple(differences(runs)))


def _yardstick(names: Sequence[str], runs: Sequence[Run]) -> tuple[str, NDArray[np.float64], Trial]:
    """Return the first run that has a reference point: its name, the point, and its reference."""
    for name, run in zip(names, runs, strict=True):
        point, reference = reference_point_of(run), run.reference
        if point is not None and reference is not None:
            return name, point, reference
    raise InvalidInput("no run has finished its base and reference, so there is no reference point to compare on")


def _names(runs: Sequence[Run]) -> list[str]:
    last = [run.folder.name for run in runs]
    return last if len(set(last)) == len(last) else [str(run.folder) for run in runs]


def _own(run: Run) -> list[Trial]:
    """Return the finished proposals and grid recipes of a run."""
    return [trial for trial in run.trials if trial.role in ("proposed", "grid") and trial.state is State.COMPLETE]


def _joint(frontiers: Sequence[Sequence[Trial]], runs: Sequence[Run]) -> set[int]:
    """Return which trials no trial of any frontier dominates, by the identity of the object: runs may share ids.

    They are compared by the objectives of the runs, or, where these have others, by robust accuracy and compute alone.
    """
    trials, objectives = [trial for one in frontiers for trial in one], runs[0].info["objectives"]
    if any(run.info["objectives"] != objectives for run in runs):
        compute = {"metric": compute_metric(runs[0].info), "direction": "min"}
        objectives = [{"metric": "robust_accuracy", "direction": "max"}, compute]
    return {id(trial) for trial in members(trials, {"objectives": objectives}, estimate)}


def _best(run: Run, whole: float, compute: str) -> dict[float, Trial | None]:
    able = [trial for trial in _own(run) if eligible(run, trial) and np.isfinite(metric(trial, "robust_accuracy"))]
    found: dict[float, Trial | None] = {}
    for share in SHARES:
        some = [trial for trial in able if metric(trial, compute) <= share * whole]
        found[share] = max(some, key=lambda trial: metric(trial, "robust_accuracy"), default=None)
    return found
