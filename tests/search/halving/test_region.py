"""What the region demands of a proposal on its way: the study's rule, at the same share of the reference's schedule."""

import math

import pytest

from search.events import Outcome, Proposal
from search.halving.region import RegionByShare
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from trainables.evaluation.metrics import METRICS
from trainables.execution.ending import FINISHED

STUDY = load("digits")  # its reference trains for 20 epochs
FIXED = FixedRecipes.of(STUDY)
OBJECTIVES = [METRICS["robust_accuracy"], METRICS["train_flops"], METRICS["inference_macs"]]


def region(base: float, scores: dict[int, float | None]) -> RegionByShare:
    made = RegionByShare(STUDY, FIXED)
    made.ended(Proposal(FIXED.base.recipe, "base", "base", 0), Outcome(FINISHED, {"robust_accuracy": base}, 1.0))
    for epoch, score in scores.items():
        row = {"epoch": epoch, "robust_accuracy": score, "planned_train_flops": 1e12}
        made.reported(Proposal(FIXED.reference.recipe, "baseline", STUDY.reference, 1), row)
    return made


def test_it_is_the_rule_at_the_same_share() -> None:
    made = region(0.1, {1: 0.2, 5: 0.4, 14: 0.5, 15: 0.6})
    assert made.bounds(0.25, OBJECTIVES) == pytest.approx((-0.32, 1.1e12, math.inf))
    assert made.bounds(0.75, OBJECTIVES) == pytest.approx((-0.48, 1.1e12, math.inf))


def test_the_base_bounds_it_too() -> None:
    assert region(0.35, {5: 0.4}).bounds(0.25, OBJECTIVES) == pytest.approx((-0.35, 1.1e12, math.inf))


def test_nothing_is_known_before_the_reference_has_come_so_far_with_a_score_and_the_base_has_ended() -> None:
    assert region(0.1, {4: 0.4}).bounds(0.25, OBJECTIVES) is None
    assert region(0.1, {4: 0.4, 5: None}).bounds(0.25, OBJECTIVES) is None
    assert region(0.1, {4: 0.4, 5: None, 6: 0.5}).bounds(0.25, OBJECTIVES) == pytest.approx((-0.4, 1.1e12, math.inf))
    unended = RegionByShare(STUDY, FIXED)
    row = {"epoch": 20, "robust_accuracy": 0.7, "planned_train_flops": 1e12}
    unended.reported(Proposal(FIXED.reference.recipe, "baseline", STUDY.reference, 1), row)
    assert unended.bounds(0.25, OBJECTIVES) is None
