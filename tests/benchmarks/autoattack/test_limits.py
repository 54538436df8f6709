"""The limits of an evaluation's checks are those that were measured on sound networks."""

import pytest

from tests.benchmarks.autoattack.limits import read
from trainables.assessment.checks import GAP, SINGLE_STEP_GAP


def test_limits_are_the_largest_of_sound_networks_and_half_again() -> None:
    sound = [one for one in read().values() if not one["unreliable"]]
    assert len(sound) >= 12
    assert pytest.approx(1.5 * max(one["ensemble_gap"] for one in sound), abs=0.005) == GAP
    assert pytest.approx(1.5 * max(one["single_step_gap"] for one in sound), abs=0.005) == SINGLE_STEP_GAP


def test_at_most_one_image_more_stands_than_after_autoattack() -> None:
    assert {name: one["more"] - one["fewer"] for name, one in read().items() if one["more"] - one["fewer"] > 1} == {}
