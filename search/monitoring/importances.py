"""Computes how much each parameter matters for being among the best, by PED-ANOVA (arXiv 2304.10255) of Optuna."""

import warnings
from collections.abc import Callable

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from analysis.pareto.frontier import eligible, metric
from analysis.run.trials import IMPORTANCES, Run
from search.samplers.optuna_storage import EndedTrials, frozen_trial
from trainables.execution.ending import State

FEWEST = 10  # finished proposals, below which nothing can be said
BEST = 5  # at least so many are called the best; of many proposals it is a tenth
FRONTIER = "frontier"  # key of what matters for being on the frontier, all objectives together


def importances(run: Run) -> dict[str, dict[str, float]]:
    """Return the importance of each parameter, largest first, adding up to 1, by objective; also for the frontier.

    What cannot be told, since all proposals are equally good, is left out.

    It tells how differently a parameter is distributed among the best proposals and among all, one parameter at a time.
    All are those that may be on the frontier: what breaks a constraint or is no better than chance is not.
    Empty where fewer than `FEWEST` of them have finished with finite numbers.
    """
    objectives = run.info["objectives"]
    finished = []
    for trial in run.trials:
        values = [metric(trial, one["metric"]) for one in objectives]
        ended = trial.role == "proposed" and trial.state is State.COMPLETE and np.isfinite(values).all()
        if ended and eligible(run, trial):
            finished.append(frozen_trial(trial.params, trial.distributions, trial.state, values))
    count = len(finished)
    if count < FEWEST:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = [StudyDirection[f"{one['direction']}imize".upper()] for one in objectives]
    study = optuna.load_study(study_name="", storage=EndedTrials(directions, finished))
    found = {
        one["metric"]: _ranked(study, count, _lower_is_better(place, one["direction"]))
        for place, one in enumerate(objectives)
    }
    return {goal: shares for goal, shares in {FRONTIER: _ranked(study, count, None), **found}.items() if shares}


def _lower_is_better(place: int, direction: str) -> Callable[[FrozenTrial], float]:
    """Return what PED-ANOVA minimises: an objective's value, with its sign changed where more is better."""
    sign = -1.0 if direction == "max" else 1.0
    return lambda trial: sign * trial.values[place]


def _ranked(study: optuna.Study, count: int, target: Callable[[FrozenTrial], float] | None) -> dict[str, float]:
    """Return the importances for one goal; empty where the best proposals are all of them."""
    from optuna.importance import (  # late: it imports scikit-learn, which takes two seconds
        PedAnovaImportanceEvaluator,
        get_param_importances,
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator computes", UserWarning)  # that lower is better
        warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)  # one that few recipes have
        warnings.filterwarnings("error", "Target and region quantiles select the same", UserWarning)
        evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, BEST / count))
        try:
            found = get_param_importances(study, evaluator=evaluator, target=target)
        except UserWarning:
            return {}
    return {name: value for name, value in found.items() if np.isfinite(value)}  # NaN where all values are equal


def write_importances(run: Run) -> None:
    """Write importance.json, or delete it where nothing can be said."""
    found = importances(run)
    if found:
        run.folder.write_json(IMPORTANCES, found)
    elif run.folder.exists(IMPORTANCES):
        run.folder.delete(IMPORTANCES)
