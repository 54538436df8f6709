"""Rebuilds study.db, the Optuna storage that optuna-dashboard opens, from a run's trials."""

import json
import math
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import URL

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
        storage = RDBStorage(URL.create("sqlite", database=str(path)).render_as_string())  # `?` and `%` may be in it
        study = optuna.create_study(
            storage=storage,
            study_name=run.info["name"],
            directions=["maximize" if one["direction"] == "max" else "minimize" for one in objectives],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([one["metric"] for one in objectives])
        ended = [trial for trial in run.trials if trial.role == "proposed" and trial.state is not State.RUNNING]
        _add(storage, study._study_id, [(_frozen(run, trial), trial.distributions) for trial in ended])
        storage.engine.dispose()
        run.folder.write("study.db", path.read_bytes())


def _frozen(run: Run, trial: Trial) -> FrozenTrial:
    """Return a trial that has ended as Optuna has it."""
    values = [trial.metrics[one["metric"]] for one in run.info["objectives"]] if trial.metrics else []
    frozen: FrozenTrial = frozen_trial(trial.params, trial.distributions, trial.state, values)
    frozen.datetime_start, frozen.datetime_complete = _local(trial.started), _local(trial.ended or trial.started)
    frozen.user_attrs = {"recipe": trial.id, "reason": trial.reason}
    constraints = _constraints(run, trial)
    for name, beyond in constraints.items():
        frozen.set_constraint(name, beyond)
    if constraints:
        frozen.system_attrs = {**frozen.system_attrs, DASHBOARD_CONSTRAINTS: list(constraints.values())}
    return frozen


def _add(storage: RDBStorage, study: int, trials: Sequence[tuple[FrozenTrial, Mapping[str, str]]]) -> None:
    """Add trials, each with its distributions as Optuna's JSON, to a study that has none yet, all in one transaction.

    `Study.add_trial` takes 16 ms of CPU time for each, and waits for the disk: minutes for 10,000 (Optuna 5.0). So rows
    are written as it writes them, into its own tables; a test holds that they are the same.
    """
    rows: dict[type[Any], list[dict[str, Any]]] = defaultdict(list)
    for number, (trial, distributions) in enumerate(trials):
        key = {"trial_id": number + 1}
        moments = {"datetime_start": _utc(trial.datetime_start), "datetime_complete": _utc(trial.datetime_complete)}
        rows[models.TrialModel].append(key | {"number": number, "study_id": study, "state": trial.state} | moments)
        for objective, value in enumerate(trial.values or ()):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            rows[models.TrialValueModel].append(key | {"objective": objective, "value": stored, "value_type": kind})
        for name, value in trial.params.items():
            of = {"param_name": name, "distribution_json": distributions[name]}
            chosen = trial.distributions[name].to_internal_repr(value)
            rows[models.TrialParamModel].append(key | of | {"param_value": chosen})
        for table, attributes in (
            (models.TrialUserAttributeModel, trial.user_attrs),
            (models.TrialSystemAttributeModel, trial.system_attrs),
        ):
            rows[table] += [key | {"key": name, "value_json": json.dumps(value)} for name, value in attributes.items()]
    with storage.engine.begin() as connection:
        for table, some in rows.items():
            if some:
                connection.execute(table.__table__.insert(), some)


def _constraints(run: Run, trial: Trial) -> dict[str, float]:
    """Return how far a finished trial is beyond each constraint, so that Optuna counts it as feasible where we do.

    That it is no better than chance is a constraint as well, of the trials alone of which it is true.
    """
    if trial.state is not State.COMPLETE:
        return {}
    beyond = {bound["text"]: excess(run, trial, bound) for bound in run.info.get("constraints", ())}
    known = {name: value for name, value in beyond.items() if not math.isnan(value)}
    return known | ({} if at_chance(trial.metrics) is None else {"better than chance": 1.0})


def _utc(moment: datetime | None) -> datetime | None:
    """Return a moment in local time without a time zone as Optuna's tables hold it: in UTC, without a time zone."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def _local(moment: str | None) -> datetime | None:
    """Return a moment in local time without a time zone, as Optuna keeps it."""
    return datetime.fromisoformat(moment).astimezone().replace(tzinfo=None) if moment else None
