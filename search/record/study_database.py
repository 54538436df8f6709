"""Rebuilds study.db, the Optuna storage that optuna-dashboard opens, from a run's trials."""

import math
import tempfile
import warnings
from datetime import datetime
from pathlib import Path

import optuna

from analysis.pareto.frontier import excess
from analysis.run.trials import Run, Trial
from search.samplers.optuna_storage import frozen_trial
from trainables.evaluation.chance import at_chance
from trainables.execution.ending import State

# The list in which Optuna kept constraints before version 5, and where optuna-dashboard 0.21 still looks for them; it
# takes all trials for feasible without. It can go once the dashboard reads Optuna 5's.
DASHBOARD_CONSTRAINTS = "constraints"


def write_study_database(run: Run) -> None:
    """Write study.db with the proposals of a run that have ended, and the constraints that they break."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    objectives = run.info["objectives"]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "study.db"
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        study = optuna.create_study(
            storage=storage,
            study_name=run.info["name"],
            directions=["maximize" if one["direction"] == "max" else "minimize" for one in objectives],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([one["metric"] for one in objectives])
        for trial in run.trials:
            if trial.role != "proposed" or trial.state is State.RUNNING:
                continue
            values = [trial.metrics[one["metric"]] for one in objectives] if trial.metrics else []
            frozen = frozen_trial(trial.params, trial.distributions, trial.state, values)
            frozen.datetime_start, frozen.datetime_complete = (
                _local(trial.started),
                _local(trial.ended or trial.started),
            )
            frozen.user_attrs = {"recipe": trial.id, "reason": trial.reason}
            constraints = _constraints(run, trial)
            for name, beyond in constraints.items():
                frozen.set_constraint(name, beyond)
            if constraints:
                frozen.system_attrs = {**frozen.system_attrs, DASHBOARD_CONSTRAINTS: list(constraints.values())}
            study.add_trial(frozen)
        storage.engine.dispose()
        run.folder.write("study.db", path.read_bytes())


def _constraints(run: Run, trial: Trial) -> dict[str, float]:
    """Return how far a finished trial is beyond each constraint, so that Optuna counts it as feasible where we do.

    That it is no better than chance is a constraint as well, of the trials alone of which it is true.
    """
    if trial.state is not State.COMPLETE:
        return {}
    beyond = {bound["text"]: excess(run, trial, bound) for bound in run.info.get("constraints", ())}
    known = {name: value for name, value in beyond.items() if not math.isnan(value)}
    return known | ({} if at_chance(trial.metrics) is None else {"better than chance": 1.0})


def _local(moment: str | None) -> datetime | None:
    """Return a moment in local time without a time zone, as Optuna keeps it."""
    return datetime.fromisoformat(moment).astimezone().replace(tzinfo=None) if moment else None
