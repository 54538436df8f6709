"""Tests, ratios and bounds, against values that were worked out by hand."""

import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from tests.benchmarks.peers.statistics import holm, lower_bound_of_mean, ratio_of_medians, signed_rank_p

NEVER = math.inf


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([2, 3, 4, 5, 6], [1, 1, 1, 1, 1], 1 / 32),  # all signs alike: one of 2^5
        ([1, 1, 1, 1, 1], [2, 3, 4, 5, 6], 1.0),
        ([2, 2, 1], [1, 1, 2], 4 / 8),  # three mid-ranks of 2: two or three of three positive
        ([1, 1, 2, 0], [0, 0, 0, 3], 6 / 16),  # mid-ranks 1.5, 1.5, 3 and, negative, 4: at least 6 of 10
        ([NEVER, NEVER, 0.1], [0.2, 0.3, 0.2], 2 / 8),  # ranks 2.5, 2.5 and, negative, 1: a sum of 5 or 6
        ([NEVER, 0.3, 0.1], [NEVER, 0.2, 0.1], 1 / 2),  # only one pair differs
        ([NEVER, NEVER], [NEVER, NEVER], 1.0),
    ],
)
def test_signed_ranks_by_hand(ours: list[float], theirs: list[float], expected: float) -> None:
    assert signed_rank_p(np.array(ours, float), np.array(theirs, float)) == pytest.approx(expected)


def test_signed_ranks_are_those_of_scipy_where_it_is_exact() -> None:
    rng = np.random.default_rng(0)
    for size in (6, 11, 20):
        ours, theirs = rng.random(size) + 0.2, rng.random(size)
        expected = wilcoxon(ours, theirs, alternative="greater", method="exact").pvalue
        assert signed_rank_p(ours, theirs) == pytest.approx(float(expected), rel=1e-9)


def test_holm_by_hand() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.9})
    assert adjusted == pytest.approx({"a": 0.04, "c": 0.09, "b": 0.09, "d": 0.9})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert list(adjusted) == ["a", "b", "c", "d"]


def test_a_ratio_of_medians_and_its_interval() -> None:
    ratio = ratio_of_medians(np.full(8, 0.1), np.full(8, 0.4))
    assert (ratio.value, ratio.low, ratio.high, ratio.is_bound) == pytest.approx((0.25, 0.25, 0.25, False))
    wide = ratio_of_medians(np.linspace(0.1, 0.5, 9), np.full(9, 0.6))
    assert wide.value == pytest.approx(0.5)
    assert 1 / 6 <= wide.low < 0.5 < wide.high <= 5 / 6


def test_a_median_above_the_budget_counts_as_the_budget_of_theirs_and_as_infinite_of_ours() -> None:
    good, never = np.full(5, 0.2), np.array([NEVER, NEVER, NEVER, 0.1, 0.1])
    over = ratio_of_medians(good, never)
    assert over.value == pytest.approx(0.2)
    assert over.is_bound
    assert ratio_of_medians(never, good).value == NEVER
    neither = ratio_of_medians(never, never)
    assert math.isnan(neither.value)
    assert (neither.low, neither.high) == (0.0, NEVER)


def test_an_even_number_has_an_infinite_median_if_one_of_its_middle_two_is() -> None:
    assert ratio_of_medians(np.array([0.1, 0.1, NEVER, NEVER]), np.full(4, 0.5)).value == NEVER
    assert ratio_of_medians(np.array([0.1, 0.1, 0.3, NEVER]), np.full(4, 0.5)).value == pytest.approx(0.4)


def test_the_lower_bound_by_hand() -> None:
    """Mean 2, standard error 1 / √3, and 2.919986 is the 95% quantile of Student's t with 2 degrees of freedom."""
    assert lower_bound_of_mean([1.0, 2.0, 3.0]) == pytest.approx(2 - 2.919986 / math.sqrt(3), abs=1e-6)
