"""Numbers in a study and in `--set`, in the ways that people write them."""

import pytest

from search.study.loading import load
from trainables.attacks.config import UserAttack
from trainables.compression.config import UserCompression
from trainables.config import parse, read_yaml
from trainables.errors import InvalidInput


def test_numbers_with_an_exponent_are_taken_in_every_field() -> None:
    study = load(
        "digits",
        ["first=[{learning_rate: 5e-2}]", "resources.gpu=5e-1", "data.validation_size=1e2", "budget.flops=8e11"],
    )
    assert study.first == ({"learning_rate": 0.05},)
    assert study.resources.gpu == 0.5
    assert study.data.validation_size == 100
    assert study.budget.flops == 8e11
    assert load("digits", ["budget.trials=010"]).budget.trials == 10


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("budget.hours=1:30", "budget.hours: got '1:30', expected a number"),
        ("budget.patience=true", "budget.patience: got true, expected a number"),
        ("augmentation.crop_padding=true", "augmentation.crop_padding: got true, expected a number"),
        ("resources.gpu=true", "resources.gpu: got true, expected a number"),
        ("space.schedule.batch_size=true", "space.schedule.batch_size: got true, expected a number"),
    ],
)
def test_what_is_no_number_is_refused_and_not_turned_into_one(setting: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        load("digits", [setting])
    assert refused.value.problems == (problem,)


def test_settings_of_a_users_attack_and_method_are_numbers_where_they_are_written_so() -> None:
    settings = "{kind: 'a:b', method: 'a:b', settings: {a: 1e-3, b: '1e-3', c: true, d: 010}}"
    given = read_yaml(settings, "x.yaml")
    attack = parse(UserAttack, {"kind": given["kind"], "epsilon": 0.1, "settings": given["settings"]})
    method = parse(UserCompression, {"method": given["method"], "settings": given["settings"]})
    for found in (attack.model_dump()["settings"], method.model_dump()["settings"]):
        assert found == {"a": 0.001, "b": "1e-3", "c": True, "d": 10}
        assert found["c"] is True
