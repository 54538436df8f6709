"""The reference point of a running search: planned, then by epochs, then by results."""

import math

import numpy as np
import pytest

from search.events import Outcome, Proposal
from search.gain.axes import Axis
from search.gain.reference_point import ReferencePointTracker
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from trainables.execution.ending import FINISHED, Ending, EndKind

STUDY = load("digits")
FIXED = FixedRecipes.of(STUDY)
REFERENCE = Proposal(FIXED.reference.recipe, "baseline", "pgd_at_20", 1)
OTHER = Proposal(next(one.recipe for one in FIXED if one.name == "n_fgsm_at_5"), "baseline", "n_fgsm_at_5", 2)
PLANNED = math.log10(1.1e9)


def tracker() -> ReferencePointTracker:
    return ReferencePointTracker(STUDY, FIXED, lambda recipe: {"train_flops": 1e9, "model_bytes": 4e4})


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
    assert ReferencePointTracker(STUDY, FIXED, lambda recipe: {"train_flops": 0.0}).point(0.1) is None
    point = tracker().point(0.1)
    assert point is not None
    assert np.isfinite(point).all()


def test_further_objectives_are_bounded_by_what_the_reference_has() -> None:
    """What is planned at once, what is reported by its latest epoch, what is only measured by the largest so far."""
    kept = tracker()
    axes = [
        Axis(name) for name in ("robust_accuracy", "train_flops", "model_bytes", "clean_accuracy", "device_seconds")
    ]
    base = {"robust_accuracy": 0.05, "clean_accuracy": 0.9, "device_seconds": 3.0, "model_bytes": 4e4}

    def further() -> list[float]:
        corner = kept.corner(axes, base)
        assert corner is not None
        assert corner[:2] == pytest.approx([-kept.point(0.05)[0], kept.point(0.05)[1]])  # type: ignore[index]
        return [10 ** corner[2], -float(corner[3]), 10 ** corner[4]]

    assert further() == pytest.approx([1.1 * 4e4, 0.8 * 0.9, 1.1 * 3.0])
    kept.reported(REFERENCE, {"epoch": 1, "robust_accuracy": 0.3, "clean_accuracy": 0.5})
    kept.ended(OTHER, Outcome(FINISHED, {"robust_accuracy": 0.6, "train_flops": 1.0, "device_seconds": 20.0}, 1.0))
    assert further() == pytest.approx([1.1 * 4e4, 0.8 * 0.5, 1.1 * 20.0])
    ended = {
        "robust_accuracy": 0.7,
        "train_flops": 2e9,
        "model_bytes": 3e4,
        "clean_accuracy": 0.8,
        "device_seconds": 9.0,
    }
    kept.ended(REFERENCE, Outcome(FINISHED, ended, 1.0))
    assert further() == pytest.approx([1.1 * 3e4, 0.8 * 0.8, 1.1 * 9.0])


def test_without_compute_there_is_no_corner() -> None:
    kept = ReferencePointTracker(STUDY, FIXED, lambda recipe: {"train_flops": 0.0})
    assert kept.corner([Axis("robust_accuracy"), Axis("train_flops")], {"robust_accuracy": 0.1}) is None
