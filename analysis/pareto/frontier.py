"""Which recipes no other recipe beats, and how much of the plane they win. Arrays in, masks and numbers out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.pareto.dominance import non_dominated, to_costs
from analysis.run.trials import Run, State, Trial

CANDIDATES = ("baseline", "grid", "proposed")
OURS = ("grid", "proposed")  # what a verdict is about, and what is exported


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


def ratio(run: Run, trial: Trial, name: str) -> float:
    """A metric of a trial over the reference's; NaN without a finished reference or where its value is 0."""
    whole = math.nan if run.reference is None else metric(run.reference, name)
    return metric(trial, name) / whole if whole else math.nan


def compute_metric(info: Mapping[str, Any]) -> str:
    """The compute that a run is judged by: end-to-end if that is an objective, else marginal."""
    named = {objective["metric"] for objective in info["objectives"]}
    return "end_to_end_flops" if "end_to_end_flops" in named else "train_flops"


def _candidates(run: Run) -> list[Trial]:
    """The finished baselines and proposals that keep the study's constraints."""
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
