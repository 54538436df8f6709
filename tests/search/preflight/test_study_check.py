"""What of a study can be known without Ray and the data."""

import os
from pathlib import Path

import pytest

from search.preflight import study_check
from search.preflight.study_check import absent_folders, check_resources_here, check_study, oddities
from search.study.loading import load, shipped
from search.study.study import Study
from tests.support.command import SMALL
from trainables.errors import InvalidInput


def study(*settings: str) -> Study:
    return load("digits", [*SMALL, *settings])


def test_every_name_that_cannot_be_had_is_told_at_once() -> None:
    wrong = study("data.name=nothere:load", "model.name=alsonot:net", "listeners=[neither:told]")
    with pytest.raises(InvalidInput) as refused:
        check_study(wrong)
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "data.name",
        "model.name",
        "listeners.0",
    ]
    with pytest.raises(InvalidInput, match=r"torchvision:resnet999 is none of torchvision's .*, such as resnet"):
        check_study(study("model.name=torchvision:resnet999"))
    with pytest.raises(InvalidInput, match=r"^model: got depth 17 of a wide_resnet, expected 6 n \+ 4"):
        study("model={name: wide_resnet, depth: 17}")


def test_a_folder_of_images_that_is_not_here_is_said_since_a_cluster_may_have_it(tmp_path: Path) -> None:
    folder = "data={name: image_folder, image_size: 32, validation_size: 100, path: '%s'}"
    assert absent_folders(study(folder % tmp_path)) == []
    said = f"data.path: {tmp_path}/no: no such folder on this machine, expected one with train/ and test/"
    assert absent_folders(study(folder % (tmp_path / "no"))) == [said]


def test_training_for_another_norm_than_the_scored_one_is_said() -> None:
    assert all(oddities(load(name)) == [] for name in shipped())
    l2 = "threat_model={norm: l2, epsilon: 0.5}"
    changed = "robustness is scored in l2, but trained for in linf, which norm: l2 changes: "
    assert oddities(study(l2)) == [f"{changed}baselines.0.perturbation, space.perturbation"]  # others are N-FGSM
    assert oddities(study(l2, "baselines.0.perturbation.norm=l2")) == [f"{changed}space.perturbation"]


def test_first_proposals_that_no_trial_is_left_for_are_said() -> None:
    first = "first=[{epochs: 10}, {epochs: 11}, {epochs: 12}]"
    assert oddities(study(first, "budget.trials=3")) == []
    assert oddities(study(first, "budget.trials=2")) == [
        "first lists 3 proposals, of which budget.trials lets 2 run",
    ]


def test_more_cards_than_a_trial_computes_on_are_said() -> None:
    assert oddities(study("resources.gpu=1", "resources.roles={baseline: {gpu: 2}}")) == [
        "resources.roles.baseline.gpu: got 2 GPUs a trial, which computes on one"
    ]
    assert oddities(study("resources.gpu=auto")) == []


def test_more_cpus_than_this_machine_has_are_refused_by_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(study_check, "usable_cpus", lambda: 4)
    check_resources_here(study("resources.cpu=4"))
    with pytest.raises(InvalidInput, match=r"^resources.cpu: got 5 CPUs a trial, expected at most this machine's 4"):
        check_resources_here(study("resources.cpu=5"))
    with pytest.raises(InvalidInput, match=r"^resources.roles.baseline.cpu: got 8 CPUs .*[^\n]$"):
        check_resources_here(study("resources.roles={baseline: {cpu: 8}}"))
    with pytest.raises(InvalidInput, match=r"^resources.cpu: got 64 CPUs"):
        check_resources_here(study("resources={cpu: 64, pending: 1}"))  # no autoscaler brings nodes to a machine alone
    monkeypatch.setattr(study_check, "usable_cpus", lambda: 2)  # by taskset, Slurm or a container
    with pytest.raises(InvalidInput, match="expected at most the 2 of this machine's 4 that may be used"):
        check_resources_here(study("resources.cpu=4"))


def test_a_gpu_is_refused_where_there_is_no_sign_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_check, "DEVICES", tmp_path)
    for gpu in ("1", "0.25", "auto"):
        with pytest.raises(
            InvalidInput, match=r"^resources.gpu: this machine has no GPU, expected 0; a cluster.*[^\n]$"
        ):
            check_resources_here(study(f"resources.gpu={gpu}"))
    with pytest.raises(InvalidInput, match=r"^resources.roles.baseline.gpu: this machine has no GPU"):
        check_resources_here(study("resources.roles={baseline: {gpu: 2}}"))
    check_resources_here(study("resources.gpu=0"))
    with pytest.raises(InvalidInput, match=r"^resources.gpu: this machine has no GPU"):
        check_resources_here(study("resources={gpu: 1, pending: 1}"))
    (tmp_path / "nvidia0").touch()
    check_resources_here(study("resources.gpu=8"))


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "quasi_random", "random", "cost_aware"])
def test_a_large_seed_is_good_for_every_sampler(sampler: str) -> None:
    from tests.support.searcher import Log

    log = Log(study(f"seed={2**63 - 1}", f"sampler.kind={sampler}", "first=[{epochs: 1}]"))
    for number in range(4):
        assert log.searcher.suggest(f"t{number}") is not None


def test_a_seed_that_no_generator_takes_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^seed: got 99999999999999999999, expected a whole number from 0 to 9"):
        study("seed=99999999999999999999")
    with pytest.raises(InvalidInput, match=r"^data.split_seed: got 4294967296, expected a whole number from 0 to 4294"):
        study("data.split_seed=4294967296")
