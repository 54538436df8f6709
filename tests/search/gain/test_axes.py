"""Objectives as costs."""

import math

import pytest

from search.gain.axes import Axis, axes_of, costs_of
from search.study.loading import load
from trainables.evaluation.metrics import METRICS, OBJECTIVES


def test_accuracy_comes_first_then_the_compute_that_the_study_is_judged_by() -> None:
    study = load("digits", ["objectives=[model_bytes, train_flops, end_to_end_flops, robust_accuracy]"])
    assert [one.metric for one in axes_of(study)] == [
        "robust_accuracy",
        "end_to_end_flops",
        "model_bytes",
        "train_flops",
    ]
    assert [one.metric for one in axes_of(load("digits"))] == ["robust_accuracy", "train_flops"]


def test_accuracies_are_negated_and_amounts_are_compared_by_decades() -> None:
    axes = [Axis(name) for name in ("clean_accuracy", "model_bytes", "device_seconds", "mac_ratio")]
    metrics = {"clean_accuracy": 0.9, "model_bytes": 1e5, "device_seconds": 0.1, "mac_ratio": 0.01}
    assert costs_of(axes, metrics) == pytest.approx([-0.9, 5, -1, -2])
    assert Axis("train_flops").cost(0.0) == 0.0  # recipes without compute can be compared
    assert Axis("device_seconds").cost(0.0) == -6


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_has_a_worst_value_near_the_references(name: str) -> None:
    axis = Axis(name)
    assert axis.is_accuracy == (OBJECTIVES[name] == "max")
    assert math.isclose(axis.worst(0.5), -0.4 if axis.is_accuracy else axis.cost(0.55))
    assert axis.is_foreseen == METRICS[name].foreseen
