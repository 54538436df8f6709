"""Shipped studies are valid, and all that is wrong with a study is told at once."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.study.loading import load, parse_resolved, shipped
from search.study.study import Study
from trainables.attacks.config import PGD
from trainables.config import parse, read_yaml
from trainables.errors import InvalidInput


def test_every_shipped_study_is_valid() -> None:
    paper = ["paper_cifar10", "paper_fashion_mnist", "paper_fashion_mnist_small"]
    recorded = ["digits_recorded", "digits_wide_recorded", "fashion_mnist_recorded", "fashion_mnist_3000_recorded"]
    assert sorted(shipped()) == sorted(["digits", "fashion_mnist", "fashion_mnist_small", *paper, *recorded])
    for name in shipped():
        assert load(name).name == name


def test_all_problems_of_a_study_come_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        load("digits", [
            "space.compression.pruning_ratio.high=1.2", "threat_model.epsilon=8", "budget.trails=3", "reference=foo",
            "baselines.0.perturbation.stps=3", "space.schedule.epochs.low=50", "model.name=resnet", "seed=x",
        ])  # fmt: skip
    assert sorted(caught.value.problems) == [
        "baselines.0.perturbation.stps: unknown key, did you mean steps?",
        "budget.trails: unknown key, did you mean trials?",
        "model.name: got 'resnet', expected small, eight_layer, resnet18, wide_resnet or module:function; "
        "torchvision's as torchvision:NAME",
        "seed: got 'x', expected a whole number from 0 to 9223372036854775807",
        "space.compression.pruning_ratio.high: got 1.2, expected a number in [0, 0.95]",
        "space.schedule.epochs: got low 50 above high 40, expected low <= high",
        "threat_model.epsilon: got 8, expected a number in (0, 0.5] such as 8/255, for pixels in [0, 1]",
    ]
    with pytest.raises(InvalidInput, match=r"reference: got 'foo', expected one of the baselines: pgd_at_20"):
        load("digits", ["reference=foo"])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("parity_margin=1/100", "parity_margin: got '1/100', expected a number; 1/100 is 0.01"),
        (
            "space.schedule.epochs=[1, 4]",
            "space.schedule.epochs: got [1, 4], expected a group of keys, such as {low: 1, high: 4}",
        ),
        ("space.perturbation.epsilon=0.1", "expected a group of keys, such as {low: 0.1, high: 0.1}"),
        ("space.compression.pruning_ratio=[0.5, 0.7]", "such as {low: 0.5, high: 0.7}"),
        ("model=resnet18", "model: got 'resnet18', expected a group of keys, such as {name: resnet18}"),
        ("pretrained=net.pt", "pretrained: got 'net.pt', expected a group of keys, such as {path: net.pt}"),
        ("sampler=tpe", "sampler: got 'tpe', expected a group of keys, such as {kind: tpe}"),
        ("halving=true", "halving: got True, expected a group of keys: reduction_factor, grace, "),
        ("listeners=[mlflow]", "listeners.0: got 'mlflow', expected module:function"),
        ("data.name=./photos", "a folder of images is name: image_folder with path: ./photos"),
        ("seed=[", "not YAML: while parsing a flow node expected the node content, but found '<stream end>' in line 1"),
    ],
)
def test_a_common_mistake_is_told_with_what_to_write(setting: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(words)):
        load("digits", [setting])


def test_radii_may_be_fractions_as_the_field_writes_them() -> None:
    study = load(
        "fashion_mnist", ["threat_model.epsilon=8/255", "space.perturbation.epsilon={low: 4/255, high: 16 / 255}"]
    )
    assert study.threat_model.epsilon == 8 / 255
    assert study.space is not None
    searched = study.space.perturbation.epsilon
    assert (searched.low, searched.high) == (4 / 255, 16 / 255)
    assert load("digits", ["first=[{epsilon: 1/5}]"]).first == ({"epsilon": 0.2},)
    assert PGD.model_validate({"epsilon": "2/255", "steps": 7, "step_size": "1/255"}).step_size == 1 / 255
    for wrong in ("0/255", "8/0", "-8/255", "8/255/2", "eight"):
        with pytest.raises(InvalidInput, match=r"^threat_model.epsilon: "):
            load("digits", [f"threat_model.epsilon={wrong}"])
    with pytest.raises(InvalidInput, match=r"threat_model.epsilon: got 0.564706, expected a number in"):
        load("digits", ["threat_model.epsilon=144/255"])


def test_a_studys_name_with_a_typo_is_told_with_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text("")
    for given, words in {
        "digit": "no such study, did you mean digits?; expected a YAML file or one of",
        str(tmp_path / "odd.yml"): f"no such study, did you mean {tmp_path}/odd.yaml?",
        str(tmp_path / "nowhere" / "x.yaml"): "no such study; expected a YAML file",
        str(tmp_path / "odd.yaml"): "odd.yaml: is empty, expected the keys of a study",
    }.items():
        with pytest.raises(InvalidInput, match=re.escape(words)):
            load(given)


FAST = "{name: pgd_at_20, perturbation: {kind: fgsm, epsilon: 0.1}, schedule: {epochs: 1, learning_rate: 1}}"


@pytest.mark.parametrize(
    ("key", "one"),
    [
        ("constraints", "clean_accuracy >= 0.8"),
        ("ship", "notes.txt"),
        ("listeners", "mine:Tracker"),
        ("first", "{epochs: 5}"),
        ("baselines", FAST),
        ("space.compression.alternatives", "{method: none}"),
        ("model.uncounted_operators", "mine::op"),
        ("grid.arms", "{name: b, base: base}"),
        ("grid.pruning_ratios", "0.5"),
        ("grid.bits", "8"),
    ],
)
def test_one_value_stands_for_a_list_of_one(key: str, one: str) -> None:
    before = load("digits", ["grid={arms: [{name: a, base: base}], pruning_ratios: [0.25], bits: [4]}"])
    alone, listed = (parse(Study, _with(before, key, read_yaml(text, "x"))) for text in (one, f"[{one}]"))
    assert alone == listed != before


def test_one_objective_is_refused_for_what_is_missing_beside_it() -> None:
    with pytest.raises(InvalidInput, match=r"^objectives: got \['robust_accuracy'\], expected train_flops or "):
        load("digits", ["objectives=robust_accuracy"])


def test_steps_that_leave_out_the_end_of_their_range_are_refused() -> None:
    key, wrong = "space.compression.pruning_ratio", "{low: 0.3, high: 0.5, step: 0.3}"
    with pytest.raises(InvalidInput) as refused:
        load("digits", [f"{key}={wrong}"])
    assert refused.value.problems == (
        f"{key}: got low 0.3, high 0.5 and step 0.3, which ends at 0.3, expected steps that reach high",
    )
    for right in ("{low: 0.3, high: 0.9, step: 0.1}", "{low: 0.3, high: 0.3, step: 0.3}", "{low: 0, high: 0.95}"):
        load("digits", [f"{key}={right}"])
    load("digits", [f"{key}={wrong}", "space.compression.mac_ratio={low: 0.3, high: 0.5}"])


def test_a_run_whose_steps_left_out_an_end_is_read_still() -> None:
    data = _with(load("digits"), "space.compression.pruning_ratio", {"low": 0.3, "high": 0.5, "step": 0.3})
    study = parse_resolved(yaml.safe_dump(data), "study.yaml")
    assert study.space is not None
    assert study.space.compression.pruning_ratio.last == 0.3


def _with(study: Study, key: str, value: Any) -> Any:
    """A study's content with one key set."""
    data = study.model_dump(mode="json")
    *parents, last = key.split(".")
    place = data
    for parent in parents:
        place = place[parent]
    place[last] = value
    return data
