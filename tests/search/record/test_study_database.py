"""study.db: what Optuna, and so its dashboard, takes for feasible and for optimal."""

from dataclasses import replace
from pathlib import Path

import optuna

from analysis.run.trials import Run
from search.record.study_database import write_study_database
from tests.support.run_directories import worked_example


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
