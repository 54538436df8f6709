"""Rebuilds study.db, the Optuna storage that optuna-dashboard opens, from a run's trials."""

import tempfile
import warnings
from datetime import datetime
from pathlib import Path

import optuna

from analysis.run.trials import Run
from search.samplers.optuna_storage import frozen_trial
from trainables.execution.ending import State


def write_study_database(run: Run) -> None:
    """Write study.db with the proposals of a run that have ended."""
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
            study.add_trial(frozen)
        storage.engine.dispose()
        run.folder.write("study.db", path.read_bytes())


def _local(moment: str | None) -> datetime | None:
    """Return a moment in local time without a time zone, as Optuna keeps it."""
    return datetime.fromisoformat(moment).astimezone().replace(tzinfo=None) if moment else None
