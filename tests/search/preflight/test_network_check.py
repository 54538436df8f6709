"""What of a study is tried with its network, and what the commands say of it."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.preflight.dry_run import NOT_PLANNED, show_plan
from search.preflight.network_check import (
    NOT_TRIED,
    attacks_of,
    check_studys_network,
    few_scored,
    forms_of,
    leftover_of,
    recipes_of,
)
from search.study.loading import load, shipped
from search.study.study import Study
from tests.support.command import temper_here
from trainables.data.splits import load_splits
from trainables.errors import InvalidInput

FEW = ["data.train_size=100", "data.validation_size=50"]
SPACE = "space.compression={pruning_ratio: {low: 0.2, high: 0.7}, importance: [l1, taylor], scope: [global, uniform]"


def words(study: Study) -> list[str]:
    return [f"{form.where}: {form.words()}" for form in forms_of(study)]


def test_the_ends_of_the_space_are_tried_with_every_scope_and_importance() -> None:
    study = load("digits", [SPACE + ", steps: [1, 3]}"])
    assert words(study) == [
        "space.compression: prune 70% l1 global in 2 steps",
        "space.compression: prune 70% taylor global",
        "space.compression: prune 70% l1 uniform",
        "space.compression: prune 20% l1 global",
    ]


def test_the_fewest_bits_are_tried_alone_and_after_the_most_pruning() -> None:
    bits = "space.quantization={weight_bits: [8, 3, 32], activation_bits: [32, 5]}"
    assert words(load("digits", [bits]))[-2:] == [
        "space.quantization: dense and W3A5",
        "space: prune 80% l1 global and W3A5",
    ]


def test_shares_of_macs_alternatives_baselines_and_a_grid_are_tried() -> None:
    study = load(
        "digits",
        [
            "space.compression={mac_ratio: {low: 0.1, high: 0.5}, scope: [uniform], alternatives: "
            "[{method: channel_pruning, pruning_ratio: 0.9, importance: random}]}",
            "baselines.4.quantization={weight_bits: 4, activation_bits: 4}",
            "grid={pruning_ratios: [0.1, 0.5, 0.95], bits: [8, 2], arms: [{name: cut, base: base}]}",
        ],
    )
    assert words(study) == [
        "space.compression: prune to 10% of MACs l1 uniform",
        "space.compression: prune to 50% of MACs l1 uniform",
        "space.compression.alternatives.0: prune 90% random global",
        "baselines.4.compression: prune 50% l1 global and W4A4",
        "baselines.5.compression: prune 50% l1 global",
        "grid.pruning_ratios: prune 10% l1 uniform",
        "grid.pruning_ratios: prune 95% l1 uniform",
        "grid.bits: dense and W2A2",
    ]


def test_a_network_that_nothing_compresses_has_no_forms() -> None:
    dense = "space.compression={pruning_ratio: {low: 0, high: 0}}"
    plain = "baselines=[{name: b, perturbation: {kind: fgsm, epsilon: 0.1}, schedule: {epochs: 1, learning_rate: 0.1}}]"
    assert words(load("digits", [dense, plain, "reference=b"])) == []


def test_one_attack_of_each_kind_and_norm_is_tried() -> None:
    study = load("digits", ["threat_model={norm: l2, epsilon: 0.5}", "space.perturbation.kind=[n_fgsm, fgsm, pgd]"])
    tried = {key: (attack.kind, getattr(attack, "norm", "linf")) for key, attack in attacks_of(study).items()}
    assert tried == {
        "threat_model": ("pgd", "l2"),
        "baselines.0.perturbation": ("pgd", "linf"),
        "baselines.2.perturbation": ("n_fgsm", "linf"),
        "space.perturbation.kind.1": ("fgsm", "linf"),
    }


def test_one_recipe_of_each_way_of_training_is_tried() -> None:
    assert list(recipes_of(load("digits"))) == ["base"]
    ways = ["space.loss=[{kind: trades, beta: 2}]", "baselines.0.schedule.averaging=0.9", "precision=bf16-mixed"]
    study = load("digits", ways)
    assert list(recipes_of(study)) == ["base", "baseline pgd_at_20", "proposal 0"]
    assert {recipe.precision for recipe in recipes_of(study).values()} == {"bf16-mixed"}


def test_batches_of_one_image_are_found_wherever_they_are_asked_for() -> None:
    assert leftover_of(load("digits"), 65) == ""
    assert leftover_of(load("digits"), 1) == "data: leaves 1 training image, expected at least 2"
    assert leftover_of(load("digits", ["space.schedule.batch_size=[32, 1]"]), 64).startswith(
        "space.schedule.batch_size: got 1"
    )
    assert leftover_of(load("digits", ["baselines.1.schedule.batch_size=1"]), 64).startswith(
        "baselines.1.schedule.batch_size: got 1"
    )


def test_a_study_that_works_is_said_to_be_tried() -> None:
    ways = ["space.loss=[{kind: trades, beta: 2}]", "baselines.0.schedule.averaging=0.9"]
    study = load("digits", ["data.train_size=100", "data.validation_size=100", *ways])
    said: list[object] = []
    check_studys_network(study, load_splits(study.data), said.append)
    assert str(said[-1]).startswith("network tried in ")
    assert "82,282 parameters, dense and in 4 compressed forms" in str(said[-1])
    assert not [line for line in said if "warning" in str(line)]


def test_images_that_are_nearly_black_are_warned_of() -> None:
    study = load("digits", FEW)
    splits = load_splits(study.data)
    dark = replace(splits, train=replace(splits.train, images=splits.train.images / np.float32(16)))
    said: list[object] = []
    check_studys_network(study, dark, said.append)
    assert any("warning: data: no pixel of digits is above 0.062 on the scale" in str(line) for line in said)


def test_few_validation_images_are_warned_of_with_the_difference_that_is_luck() -> None:
    study = load("digits", [*FEW, "data.validation_size=50"])
    said: list[object] = []
    check_studys_network(study, load_splits(study.data), said.append)
    told = [line for line in said if not str(line).startswith("trying ")]  # which a busy machine has time for
    assert told[0] == (
        "warning: data: 50 validation images score the recipes, so a difference below 20 points is luck (two standard "
        "errors at one half); hold out 100 or more"
    )
    assert few_scored(None, 100) == few_scored(100, 5000) == ""
    assert few_scored(32, 5000).startswith("evaluation.examples: 32 validation images score the recipes, so a diff")
    assert few_scored(32, 5000).endswith("below 25 points is luck (two standard errors at one half); score 100 or more")


def test_shipped_studies_score_on_enough_images() -> None:
    studies = [load(name) for name in shipped()]
    assert len(studies) == 10
    assert [one.name for one in studies if few_scored(one.evaluation.examples, one.data.validation_size)] == []


def test_a_plan_is_not_shown_for_a_network_that_does_not_work_unless_it_is_not_tried() -> None:
    study = load("digits", [*FEW, "model.name=tests.support.faulty_networks:DropoutAlwaysOn"])
    said: list[object] = []
    with pytest.raises(InvalidInput, match="gives other scores when it is called again"):
        show_plan(study, try_network=True, say=said.append)
    assert not any("pgd_at_20" in str(line) for line in said)
    show_plan(study, try_network=False, say=said.append)
    assert NOT_TRIED in said
    assert "pgd_at_20" in str(said[-1])


def test_a_plan_without_its_data_is_shown_and_refused() -> None:
    nowhere = "data={name: image_folder, path: /nowhere, image_size: 8, validation_size: 10}"
    said: list[object] = []
    with pytest.raises(InvalidInput, match="/nowhere"):
        show_plan(load("digits", [nowhere]), try_network=True, say=said.append)
    assert NOT_PLANNED in str(said[-1])


@pytest.mark.parametrize("command", ["search", "doctor", "validate"])
def test_what_does_not_work_is_refused_before_ray_starts_and_nothing_is_written(command: str, tmp_path: Path) -> None:
    options = {"search": ["--storage", str(tmp_path)], "doctor": ["--storage", str(tmp_path)], "validate": ["--try"]}
    faulty = [*FEW, "model.name=tests.support.faulty_networks:RemembersTheBatchSize"]
    refused = temper_here(command, "digits", *options[command], settings=faulty)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert re.search(r"cannot be called with [24] images at once \(RuntimeError: ", refused.stderr)
    assert ") in layer head (Linear), faulty_networks.py line " in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list(tmp_path.iterdir())
