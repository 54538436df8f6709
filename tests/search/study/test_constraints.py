"""Constraints: how they are written, by how much they are broken, and that nobody who breaks one is on the frontier."""

from pathlib import Path

import pytest

from analysis.pareto.frontier import feasible, frontier
from analysis.run.trials import read_run
from search.samplers.ask_and_tell import OptunaSampler
from search.study.constraints import Bound, eligible, keeps_all
from search.study.loading import load
from search.study.study import Study
from tests.support.command import SMALL
from tests.support.run_directories import add, start
from tests.support.searcher import Log, done
from trainables.errors import InvalidInput
from trainables.storage import Folder

TWO = ["constraints=['clean_accuracy >= 0.85', 'inference_macs<=0.3 of dense']"]


def test_a_constraint_is_written_as_people_do_and_read_back() -> None:
    study = load("digits", TWO)
    assert [str(bound) for bound in study.constraints] == ["clean_accuracy >= 0.85", "inference_macs <= 0.3 of dense"]
    assert Study.model_validate(study.model_dump(mode="json")) == study
    for written in ("parameters <= 1e5", "parameters<=1E+5", "parameters <= 100000."):
        assert load("digits", [f"constraints=['{written}']"]).constraints[0].bound == 1e5
    point = load("digits", ["reference_point.compute=8E-1 of reference"]).reference_point
    assert str(point.compute) == "0.8 of reference"


@pytest.mark.parametrize("wrong", ["clean_accuracy > 0.8", "cleanliness >= 0.8", "clean_accuracy >= 0..8", "0.8"])
def test_what_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidInput, match=r"constraints.0: got .*, expected"):
        load("digits", [f"constraints=['{wrong}']"])


def test_a_bound_that_no_share_of_images_can_reach_is_refused() -> None:
    for wrong in ("clean_accuracy >= 85", "robust_accuracy <= 1.01"):
        with pytest.raises(InvalidInput) as refused:
            load("digits", [f"constraints=['{wrong}']"])
        assert refused.value.problems == (f"constraints.0: got '{wrong}', expected a share of the images, 0 to 1",)
    for right in ("clean_accuracy >= 1", "robust_accuracy >= 1.2 of dense", "parameters <= 85"):
        assert [str(one) for one in load("digits", [f"constraints=['{right}']"]).constraints] == [right]


def test_the_violation_is_relative_to_the_bound() -> None:
    at_least = Bound(metric="clean_accuracy", at_least=True, bound=0.8)
    assert at_least.violation({"clean_accuracy": 0.6}, {}) == pytest.approx(0.25)
    assert at_least.violation({"clean_accuracy": 0.8}, {}) == 0
    assert at_least.violation({"clean_accuracy": 0.9}, {}) < 0
    at_most = Bound(metric="inference_macs", at_least=False, bound=0.5, of_dense=True)
    assert at_most.violation({"inference_macs": 75.0}, {"inference_macs": 100.0}) == pytest.approx(0.5)
    nothing = Bound(metric="inference_macs", at_least=False, bound=0.0)
    assert nothing.violation({"inference_macs": 5.0}, {}) == 5
    assert [
        keeps_all([at_least, at_most], {"clean_accuracy": clean, "inference_macs": 50.0}, {"inference_macs": 100.0})
        for clean in (0.79, 0.8)
    ] == [False, True]


def test_who_is_no_better_than_chance_is_not_eligible_though_it_breaks_no_constraint() -> None:
    assert eligible([], {"answers_one_class": 0.0}, {})
    assert not eligible([], {"answers_one_class": 1.0}, {})


def test_optuna_is_told_of_violations() -> None:
    log = Log(load("digits", [*SMALL, *TWO, "sampler.kind=tpe"]))
    base = {"metrics/clean_accuracy": 0.9, "metrics/inference_macs": 1000.0}
    kept = {"metrics/clean_accuracy": 0.9, "metrics/inference_macs": 200.0}
    broken = {"metrics/clean_accuracy": 0.425, "metrics/inference_macs": 600.0}
    for number in range(5):
        log.searcher.suggest(f"t{number}")
        log.searcher.on_trial_complete(f"t{number}", done(0.1, 1e9) | base)
    for name, metrics in (("a", kept), ("b", broken)):
        assert isinstance(log.searcher.suggest(name), dict)
        log.searcher.on_trial_complete(name, done(0.5, 1e9) | metrics)
    assert isinstance(log.sampler, OptunaSampler)
    first, second = (trial.constraints for trial in log.sampler.optuna.get_trials())
    assert first == {
        "clean_accuracy >= 0.85": pytest.approx(-0.05 / 0.85),
        "inference_macs <= 0.3 of dense": pytest.approx(-1 / 3),
    }
    assert second == {
        "clean_accuracy >= 0.85": pytest.approx(0.5),
        "inference_macs <= 0.3 of dense": pytest.approx(1.0),
    }


def test_who_breaks_a_constraint_is_not_on_the_frontier_and_beats_nobody(tmp_path: Path) -> None:
    bound = {"metric": "robust_accuracy", "at_least": False, "bound": 2.0, "of_dense": True, "text": ""}
    start(tmp_path, constraints=[bound])
    add(tmp_path, "base", role="base", number=0, robust=0.3)
    add(tmp_path, "good", number=1, robust=0.7, flops=1e9)  # best in both, and above 0.6
    add(tmp_path, "kept", number=2, robust=0.6, flops=2e9)
    run = read_run(Folder(str(tmp_path)))
    assert [trial.id for trial in frontier(run)] == ["kept"]
    assert [feasible(run, trial) for trial in run.trials] == [True, False, True]
