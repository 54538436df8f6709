"""Which recipes no other recipe beats, and how much of the plane they win. Arrays in, masks and numbers out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.trials import Run, State, Trial, summary

CANDIDATES = ("baseline", "grid", "proposed")
OURS = ("grid", "proposed")  # what a verdict is about, and what is exported


def non_dominated(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask of the points that no other point dominates.

    A point dominates another if it is nowhere worse and somewhere better. Equal points do not dominate each other:
    all copies are kept. A row with NaN or an infinity is never in, and dominates nothing.

    Args:
        costs: `(points, objectives)`, all minimised.

    Returns:
        `(points,)`.
    """
    kept: NDArray[np.bool_] = np.asarray(np.isfinite(costs).all(axis=1), dtype=np.bool_)
    finite = np.flatnonzero(kept)
    if costs.shape[1] == 2:
        kept[finite] = _non_dominated_in_the_plane(costs[finite])
        return kept
    others = costs[finite]
    for index in finite:
        dominated = (others <= costs[index]).all(axis=1) & (others < costs[index]).any(axis=1)
        kept[index] = not dominated.any()
    return kept


def _non_dominated_in_the_plane(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """By sorting, for the sake of rungs that thousands have reached: a point is beaten by who comes before it."""
    order = np.argsort(costs[:, 0], kind="stable")  # this is quick where they are sorted
    first, second = costs[order, 0], costs[order, 1]
    begins = np.r_[True, first[1:] > first[:-1]][: len(first)]  # a group of those that are equal in the first
    group = np.cumsum(begins) - 1
    best = np.minimum.reduceat(second, np.flatnonzero(begins))  # of each group
    before = np.minimum.accumulate(np.r_[np.inf, best])[:-1]  # of all groups before it
    kept = np.empty(len(costs), dtype=np.bool_)
    kept[order] = (second == best[group]) & (second < before[group])
    return kept


def to_costs(values: NDArray[np.float64], directions: Sequence[str]) -> NDArray[np.float64]:
    """Turn objectives into costs: the one place that knows of directions.

    Args:
        values: `(points, objectives)`.
        directions: "min" or "max", one per objective.

    Returns:
        `(points, objectives)`, all minimised.
    """
    signs = np.array([-1.0 if direction == "max" else 1.0 for direction in directions])
    return np.asarray(values * signs, dtype=np.float64)


def frontier(run: Run) -> list[Trial]:
    """The COMPLETE baselines, grid recipes and proposals that no other one beats on every objective, cheapest first.

    Those that break a constraint are left out, and beat nobody.

    Bases are left out because they are not robust, confirmations because they repeat a recipe. Whoever lacks a finite
    number in any objective is left out too.
    """
    return members(_candidates(run), run.info)


def members(trials: Sequence[Trial], info: Mapping[str, Any]) -> list[Trial]:
    """The non-dominated of these trials in the objectives of a run, sorted by the first that is minimised."""
    names = [str(objective["metric"]) for objective in info["objectives"]]
    directions = [str(objective["direction"]) for objective in info["objectives"]]
    values = np.array([[metric(trial, name) for name in names] for trial in trials]).reshape(len(trials), len(names))
    kept = [trial for trial, keep in zip(trials, non_dominated(to_costs(values, directions)), strict=True) if keep]
    cost = names[directions.index("min")] if "min" in directions else names[0]
    return sorted(kept, key=lambda trial: (metric(trial, cost), trial.number))


def metric(trial: Trial, name: str) -> float:
    """One final number of a trial; NaN where it was not measured."""
    value = trial.metrics.get(name)
    return math.nan if value is None else float(value)


def finished(run: Run) -> pd.DataFrame:
    """One row per COMPLETE trial, in the order of proposing.

    Columns id, role, name, recipe (in words), every metric, on_frontier (bool) and, once the reference has finished,
    marginal_ratio, end_to_end_ratio and robust_ratio against its train_flops, end_to_end_flops and robust accuracy.
    """
    kept = {trial.id for trial in frontier(run)}
    ratios = {
        "marginal_ratio": "train_flops",
        "end_to_end_ratio": "end_to_end_flops",
        "robust_ratio": "robust_accuracy",
    }
    rows = [
        {"id": trial.id, "role": trial.role, "name": trial.name, "recipe": summary(trial.recipe), **trial.metrics}
        | ({} if run.reference is None else {name: ratio(run, trial, whole) for name, whole in ratios.items()})
        | {"on_frontier": trial.id in kept}
        for trial in run.trials
        if trial.state is State.COMPLETE
    ]
    columns = None if rows else ["id", "role", "name", "recipe", "on_frontier"]
    return pd.DataFrame(rows, columns=columns)


def ratio(run: Run, trial: Trial, name: str) -> float:
    """A metric of a trial over the reference's; NaN without a finished reference or where its value is 0."""
    whole = math.nan if run.reference is None else metric(run.reference, name)
    return metric(trial, name) / whole if whole else math.nan


def compute_metric(info: Mapping[str, Any]) -> str:
    """The compute that a run is judged by: end-to-end if that is an objective, else marginal."""
    named = {objective["metric"] for objective in info["objectives"]}
    return "end_to_end_flops" if "end_to_end_flops" in named else "train_flops"


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
        ordered = sorted(_candidates(run), key=lambda trial: (_order(trial), trial.number))
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


def _candidates(run: Run) -> list[Trial]:
    complete = (trial for trial in run.trials if trial.state is State.COMPLETE and trial.role in CANDIDATES)
    return [trial for trial in complete if feasible(run, trial)]


def feasible(run: Run, trial: Trial) -> bool:
    """Whether a finished trial keeps every constraint of the run; a share of an unfinished base is not kept."""
    for bound in run.info.get("constraints", ()):
        value, limit = metric(trial, bound["metric"]), float(bound["bound"])
        if bound["of_dense"]:
            limit *= math.nan if run.base is None else metric(run.base, bound["metric"])
        if not (value >= limit if bound["at_least"] else value <= limit):
            return False
    return True


def _order(trial: Trial) -> int:
    return -1 if trial.order is None else trial.order


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan
