"""Shipped studies are valid, and all that is wrong with a study is told at once."""

import pytest

from search.study.loading import load, shipped
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
            "baselines.0.perturbation.stps=3", "space.schedule.epochs.low=30", "model.name=resnet", "seed=x",
        ])  # fmt: skip
    assert sorted(caught.value.problems) == [
        "baselines.0.perturbation.stps: unknown key, did you mean steps?",
        "budget.trails: unknown key, did you mean trials?",
        "model.name: got 'resnet', expected small, eight_layer, resnet18, wide_resnet or module:function",
        "seed: got 'x', expected a whole number from 0 to 9223372036854775807",
        "space.compression.pruning_ratio.high: got 1.2, expected a number in [0, 0.95]",
        "space.schedule.epochs: got low 30 above high 20, expected low <= high",
        "threat_model.epsilon: got 8, expected a number in (0, 0.5], for pixels in [0, 1] (8/255 is 0.0314)",
    ]
    with pytest.raises(InvalidInput, match=r"reference: got 'foo', expected one of the baselines: pgd_at_20"):
        load("digits", ["reference=foo"])
