"""Finds the frontier of a run, the recipes that no other recipe dominates, and reads the numbers that decide it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.pareto.dominance import non_dominated, to_costs
from analysis.run.trials import Run, Trial
from trainables.evaluation.chance import at_chance
from trainables.execution.ending import State

CANDIDATES = ("baseline", "grid", "proposed")
OURS = ("grid", "proposed")  # roles that a verdict is about, and that are exported


def frontier(run: Run) -> list[Trial]:
    """Return the finished baselines, grid recipes and proposals that no other dominates, cheapest first.

    A recipe that breaks a constraint, that is no better than chance, or that lacks a finite number in any objective, is
    left out and dominates nothing. Bases are left out because they are not robust, confirmations because they repeat a
    recipe. Where the search has a model, proposals are compared by its estimates: of many scores, the best ones are
    those that chance has raised most.
    """
    if "frontier" not in run.found:  # a report asks five times, of up to 50,000 trials
        run.found["frontier"] = members(_candidates(run), run.info, estimate)
    return list(run.found["frontier"])


def members(
    trials: Sequence[Trial], info: Mapping[str, Any], number: Callable[[Trial, str], float] | None = None
) -> list[Trial]:
    """Return those of the given trials that no other dominates in a run's objectives, cheapest first.

    Args:
        trials: the trials to compare.
        info: the run's run.json, which names the objectives and their directions.
        number: returns the number by which a trial is compared in an objective; None: as it was measured.

    Returns:
        The non-dominated trials, sorted by the first objective that is minimised.
    """
    names = [str(objective["metric"]) for objective in info["objectives"]]
    directions = [str(objective["direction"]) for objective in info["objectives"]]
    number = number or metric
    values = np.array([[number(trial, name) for name in names] for trial in trials]).reshape(len(trials), len(names))
    kept = [trial for trial, keep in zip(trials, non_dominated(to_costs(values, directions)), strict=True) if keep]
    cost = names[directions.index("min")] if "min" in directions else names[0]
    return sorted(kept, key=lambda trial: (metric(trial, cost), trial.number))


def metric(trial: Trial, name: str) -> float:
    """Return one final number of a trial; NaN if it was not measured."""
    value = trial.metrics.get(name)
    return math.nan if value is None else float(value)


def estimate(trial: Trial, name: str) -> float:
    """Return the model's estimate of a final number; as it was measured where there is no estimate of it."""
    return float(trial.estimate.get(name, metric(trial, name)))


def ratio(run: Run, trial: Trial, name: str) -> float:
    """Return a metric of a trial divided by the reference's; NaN if the reference did not finish or has 0."""
    whole = math.nan if run.reference is None else metric(run.reference, name)
    return metric(trial, name) / whole if whole else math.nan


def compute_metric(info: Mapping[str, Any]) -> str:
    """Return the metric of compute that a run is judged by: end-to-end if that is an objective, else marginal.

    Args:
        info: the run's run.json, which names the objectives.
    """
    named = {objective["metric"] for objective in info["objectives"]}
    return "end_to_end_flops" if "end_to_end_flops" in named else "train_flops"


def _candidates(run: Run) -> list[Trial]:
    """Return the finished baselines, grid recipes and proposals that may be on the frontier."""
    complete = (trial for trial in run.trials if trial.state is State.COMPLETE and trial.role in CANDIDATES)
    return [trial for trial in complete if eligible(run, trial)]


def eligible(run: Run, trial: Trial) -> bool:
    """Return whether a finished trial may be on the frontier: it is better than chance, and breaks no constraint."""
    return at_chance(trial.metrics) is None and feasible(run, trial)


def excluded(run: Run, trial: Trial) -> str | None:
    """Return why a finished trial may not be on the frontier, in words; None where it may."""
    broken = [bound["text"] for bound in run.info.get("constraints", ()) if not excess(run, trial, bound) <= 0]
    if broken:
        return f"breaks {' and '.join(broken)}"
    chance = at_chance(trial.metrics)
    return None if chance is None else f"no better than chance: {chance}"


def feasible(run: Run, trial: Trial) -> bool:
    """Return whether a finished trial satisfies every constraint of the run.

    A bound that is a share of the base's value is not satisfied while the base has not finished.
    """
    return all(excess(run, trial, bound) <= 0 for bound in run.info.get("constraints", ()))


def excess(run: Run, trial: Trial, bound: Mapping[str, Any]) -> float:
    """Return how far a trial is beyond one bound of run.json, in the metric's unit; 0 or less where it satisfies it.

    NaN where the metric, or the base's value that the bound is a share of, was not measured.
    """
    value, limit = metric(trial, bound["metric"]), float(bound["bound"])
    if bound["of_dense"]:
        limit *= math.nan if run.base is None else metric(run.base, bound["metric"])
    return limit - value if bound["at_least"] else value - limit
