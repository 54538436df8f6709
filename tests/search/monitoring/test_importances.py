"""What is said to matter: the parameter that scores follow, and nothing where little is known."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from analysis.run.trials import Run, read_run
from search.monitoring.importances import FEWEST, importances, write_importances
from search.samplers.optuna_storage import frozen_trial
from tests.support.run_directories import add, start
from trainables.storage import Folder

UNIT = optuna.distributions.distribution_to_json(optuna.distributions.FloatDistribution(0.0, 1.0))
COIN = optuna.distributions.distribution_to_json(optuna.distributions.CategoricalDistribution(("heads", "tails")))


def run_of(root: Path, count: int, *, equal: bool = False) -> Run:
    """Proposals whose robust accuracy follows `matters` and whose compute follows `costs`; `coin` has some of them."""
    start(root)
    drawn = np.random.default_rng(0)
    for number in range(count):
        params: dict[str, Any] = {name: float(drawn.uniform()) for name in ("matters", "costs", "idle")}
        distributions = dict.fromkeys(params, UNIT)
        if number % 2:
            params["coin"], distributions["coin"] = ("heads", "tails")[number % 4 == 1], COIN
        robust, flops = (0.5, 1e9) if equal else (params["matters"], 1e9 * (1 + params["costs"]))
        add(root, f"p{number}", number=number, robust=robust, flops=flops, params=params, distributions=distributions)
    return read_run(Folder(str(root)))


def test_what_scores_follow_matters_most_for_each_objective(tmp_path: Path) -> None:
    found = importances(run_of(tmp_path, 60))
    assert list(found) == ["frontier", "robust_accuracy", "train_flops"]
    assert next(iter(found["robust_accuracy"])) == "matters"
    assert next(iter(found["train_flops"])) == "costs"
    for shares in found.values():
        assert set(shares) == {"matters", "costs", "idle", "coin"}
        assert sum(shares.values()) == pytest.approx(1)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert found["robust_accuracy"]["matters"] > 0.8


def test_what_breaks_a_constraint_is_none_of_the_best(tmp_path: Path) -> None:
    """Beyond costs of a half, robustness follows costs, and only those that matter are allowed."""
    start(tmp_path, constraints=[{"metric": "train_flops", "at_least": False, "bound": 1.5e9, "of_dense": False}])
    drawn = np.random.default_rng(0)
    for number in range(60):
        params: dict[str, Any] = {name: float(drawn.uniform()) for name in ("matters", "costs")}
        robust = 0.5 + params["costs"] / 2 if params["costs"] > 0.5 else params["matters"] / 2
        costs = {"robust": robust, "flops": 1e9 * (1 + params["costs"])}
        add(tmp_path, f"p{number}", number=number, **costs, params=params, distributions=dict.fromkeys(params, UNIT))
    found = importances(read_run(Folder(str(tmp_path))))
    assert found["robust_accuracy"]["matters"] > 0.8


def test_trials_that_are_not_copied_tell_what_optunas_own_study_tells(tmp_path: Path) -> None:
    run = run_of(tmp_path, 60)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for one in run.trials:
        values = [one.metrics["robust_accuracy"], one.metrics["train_flops"]]
        study.add_trial(frozen_trial(one.params, one.distributions, one.state, values))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.1)
    with pytest.warns(UserWarning, match="to achieve low"):
        flops = optuna.importance.get_param_importances(study, evaluator=evaluator, target=lambda one: one.values[1])
    assert importances(run)["train_flops"] == pytest.approx(flops)


def test_few_proposals_say_nothing_and_an_older_file_goes(tmp_path: Path) -> None:
    write_importances(run_of(tmp_path / "many", FEWEST))
    assert (tmp_path / "many" / "importance.json").exists()
    few = run_of(tmp_path / "few", FEWEST - 1)
    assert importances(few) == {}
    few.folder.write_json("importance.json", {"frontier": {"matters": 1.0}})
    write_importances(few)
    assert not (tmp_path / "few" / "importance.json").exists()


def test_where_all_are_equally_good_nothing_is_said(tmp_path: Path) -> None:
    run = run_of(tmp_path, 20, equal=True)
    assert "robust_accuracy" not in importances(run)
    write_importances(run)


def test_a_parameter_that_few_recipes_have_is_no_warning_to_those_who_search(tmp_path: Path) -> None:
    start(tmp_path)
    drawn = np.random.default_rng(0)
    for number in range(24):
        params: dict[str, Any] = {name: float(drawn.uniform()) for name in ("matters", "costs")}
        params["kind"] = ("heads", "tails")[number != 5]
        distributions = {"matters": UNIT, "costs": UNIT, "kind": COIN}
        if number == 5:
            params["rare"], distributions["rare"] = 0.5, UNIT
        costs = {"robust": params["matters"], "flops": 1e9 * (1 + params["costs"])}
        add(tmp_path, f"p{number}", number=number, **costs, params=params, distributions=distributions)
    assert "matters" in importances(read_run(Folder(str(tmp_path))))["robust_accuracy"]
