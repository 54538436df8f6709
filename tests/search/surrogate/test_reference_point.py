"""The reference point of a running search: planned, then by epochs, then by results."""

import math

import numpy as np
import pytest

from search.events import Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from search.surrogate.reference_point import ReferencePointTracker
from trainables.execution.ending import FINISHED, Ending, EndKind

STUDY = load("digits")
FIXED = FixedRecipes.of(STUDY)
REFERENCE = Proposal(FIXED.reference.recipe, "baseline", "pgd_at_20", 1)
OTHER = Proposal(next(one.recipe for one in FIXED if one.name == "n_fgsm_at_5"), "baseline", "n_fgsm_at_5", 2)
PLANNED = math.log10(1.1e9)


def tracker() -> ReferencePointTracker:
    return ReferencePointTracker(STUDY, FIXED, lambda recipe: 1e9)


def test_it_goes_from_the_base_to_the_latest_epoch_to_the_result() -> None:
    kept = tracker()
    assert kept.point(0.05) == pytest.approx([0.05, PLANNED])  # the larger of .8 of the base and the base
    kept.reported(OTHER, {"epoch": 1, "robust_accuracy": 0.9})
    kept.reported(REFERENCE, {"epoch": 1, "robust_accuracy": 0.3})
    assert kept.point(0.05) == pytest.approx([0.24, PLANNED])
    kept.reported(REFERENCE, {"epoch": 2, "robust_accuracy": None})  # an epoch without a score
    kept.reported(REFERENCE, {"epoch": 3, "robust_accuracy": 0.5})
    assert kept.point(0.05) == pytest.approx([0.4, PLANNED])
    kept.ended(OTHER, Outcome(FINISHED, {"robust_accuracy": 0.9, "train_flops": 1.0}, 1.0))
    kept.ended(REFERENCE, Outcome(FINISHED, {"robust_accuracy": 0.7, "train_flops": 2e9}, 1.0))
    assert kept.point(0.05) == pytest.approx([0.56, math.log10(2.2e9)])
    assert kept.point(0.6) == pytest.approx([0.6, math.log10(2.2e9)])


def test_a_reference_that_fails_or_learnt_nothing_leaves_what_was_known() -> None:
    kept = tracker()
    kept.reported(REFERENCE, {"epoch": 1, "robust_accuracy": 0.5})
    kept.ended(REFERENCE, Outcome(Ending(EndKind.LOST, "its node died"), None, 1.0))
    assert kept.point(0.05) == pytest.approx([0.4, PLANNED])
    level = {"chance_accuracy": 0.1, "chance_accuracy_stderr": 0.03, "answers_one_class": 1, "clean_accuracy": 0.1}
    kept.ended(REFERENCE, Outcome(FINISHED, {"robust_accuracy": 0.1, "train_flops": 2e9, **level}, 1.0))
    assert kept.point(0.05) == pytest.approx([0.4, PLANNED])


def test_a_reference_without_compute_bounds_nothing() -> None:
    assert ReferencePointTracker(STUDY, FIXED, lambda recipe: 0.0).point(0.1) is None
    point = tracker().point(0.1)
    assert point is not None
    assert np.isfinite(point).all()
