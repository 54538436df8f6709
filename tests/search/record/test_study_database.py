"""study.db: what Optuna, and so its dashboard, takes for feasible and for optimal."""

import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json
from optuna.storages import RDBStorage

from analysis.run.trials import Run, read_run
from search.record import study_database
from search.record.study_database import write_study_database
from tests.support.run_directories import add, worked_example
from trainables.execution.ending import State
from trainables.storage import Folder


def best(run: Run, place: Path) -> tuple[set[str], dict[str, dict[str, float]]]:
    """The optima in study.db and the constraints of each trial, by the recipe's id."""
    write_study_database(run)
    path = place / "copy.db"
    path.write_bytes(run.folder.read("study.db"))
    study = optuna.load_study(study_name=run.info["name"], storage=f"sqlite:///{path}")
    told = {trial.user_attrs["recipe"]: trial.constraints for trial in study.trials}
    for trial in study.trials:
        named = [value for name, value in trial.constraints.items() if not name.isdigit()]
        assert sorted(of_dashboard(trial)) == sorted(named)
    return {trial.user_attrs["recipe"] for trial in study.best_trials}, told


def of_dashboard(trial: optuna.trial.FrozenTrial) -> list[float]:
    """The constraints that optuna-dashboard 0.21 reads, see its _serializer.py."""
    return list(trial._system_attrs.get("constraints", []))


def rows_of(path: Path) -> list[str]:
    """Every row of a database, as SQL."""
    with closing(sqlite3.connect(path)) as database:
        return sorted(line for line in database.iterdump() if line.startswith("INSERT"))


def test_the_rows_are_those_that_optuna_writes(tmp_path: Path) -> None:
    worked_example(tmp_path)
    add(tmp_path, "failed", state="fail", reason="out of memory", number=90)
    run = bounded(read_run(Folder(str(tmp_path))), 0.5)
    distributions = {
        "epochs": distribution_to_json(IntDistribution(1, 9)),
        "learning_rate": distribution_to_json(FloatDistribution(1e-3, 1.0, log=True)),
        "scope": distribution_to_json(CategoricalDistribution(["global", "uniform"])),
    }
    params = {"epochs": 3, "learning_rate": 0.02, "scope": "uniform"}
    proposed = [one for one in run.trials if one.role == "proposed"]
    others = [one for one in run.trials if one.role != "proposed"]
    chosen = [replace(one, params=params, distributions=distributions) for one in proposed]
    chosen[0] = replace(chosen[0], metrics={**chosen[0].metrics, "train_flops": math.inf})
    run = replace(run, trials=(*others, *chosen))
    write_study_database(run)
    ours, theirs = tmp_path / "study.db", tmp_path / "theirs.db"
    ended = [one for one in chosen if one.state is not State.RUNNING]
    assert {one.state for one in ended} == {State.COMPLETE, State.PRUNED, State.FAIL}
    storage = RDBStorage(f"sqlite:///{theirs}")
    study = optuna.create_study(storage=storage, study_name=run.info["name"], directions=["maximize", "minimize"])
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["robust_accuracy", "train_flops"])
    for trial in ended:
        study.add_trial(study_database._frozen(run, trial))
    storage.engine.dispose()
    assert rows_of(ours) == rows_of(theirs)
    assert len(rows_of(ours)) > 8 * len(ended)


def bounded(run: Run, bound: float) -> Run:
    constraint = {"metric": "robust_accuracy", "at_least": True, "bound": bound, "of_dense": False, "text": "robust"}
    return replace(run, info={**run.info, "constraints": [constraint]})


def test_only_feasible_optima_are_optima(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    scores = {one.id: one.metrics["robust_accuracy"] for one in run.trials if one.role == "proposed" and one.metrics}
    free, _ = best(run, tmp_path)
    assert len(free) > 1
    bound = sorted(scores[one] for one in free)[1]
    (tmp_path / "copy.db").unlink()
    kept, told = best(bounded(run, bound), tmp_path)
    assert kept == {one for one in free if scores[one] >= bound} != free
    assert all((told[one]["robust"] <= 0) == (scores[one] >= bound) for one in scores)
    (tmp_path / "copy.db").unlink()
    assert best(bounded(run, 2.0), tmp_path)[0] == set()


@pytest.mark.parametrize("name", ["x%20y", "x?y", "x y ü#"])
def test_temporary_folders_may_be_called_anything(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / name
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    run = worked_example(tmp_path / "run")
    write_study_database(run)
    assert run.folder.exists("study.db")
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("run", name)] == []
