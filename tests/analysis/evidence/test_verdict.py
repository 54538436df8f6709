"""Yes, no and undecided: by the bounds, for several comparisons at once, and never by two seeds."""

import numpy as np
import pytest
from scipy.stats import beta

from analysis.evidence.crossed import Array, Estimate, estimate, from_squares
from analysis.evidence.sign_flip import sign_flip_p, smallest_p
from analysis.evidence.verdict import Answer, bounds, decide


def differences(mean: float, spread: float, seeds: int = 6) -> Array:
    """Differences whose seeds have this mean and standard deviation, alike on all of many images."""
    rows = np.linspace(-1, 1, seeds)
    return np.repeat((mean + spread * rows / rows.std(ddof=1))[:, None], 2000, axis=1)


@pytest.mark.parametrize(
    ("mean", "spread", "parity", "better"),
    [
        (0.02, 0.005, "yes", "yes"),
        (0.0, 0.005, "yes", "undecided"),
        (-0.004, 0.002, "yes", "no"),
        (-0.01, 0.005, "undecided", "no"),
        (-0.03, 0.005, "no", "no"),
        (0.0, 0.05, "undecided", "undecided"),
    ],
)
def test_it_decides_by_the_bounds(mean: float, spread: float, parity: Answer, better: Answer) -> None:
    found = decide(estimate(differences(mean, spread)), margin=0.01)
    assert (found.parity, found.better) == (parity, better)
    assert (found.more_seeds is None) == (parity != "undecided" or mean == -0.01)


def test_two_seeds_never_decide() -> None:
    found = decide(estimate(differences(0.5, 1e-6, seeds=2)), margin=0.01)
    assert (found.parity, found.better, found.more_seeds) == ("undecided", "undecided", 1)


def test_more_comparisons_widen_the_bounds() -> None:
    one, many = (decide(estimate(differences(0.0, 0.008)), margin=0.01, comparisons=count) for count in (1, 20))
    assert (one.parity, many.parity) == ("yes", "undecided")
    assert many.low < one.low < one.high < many.high


def test_the_seeds_that_it_asks_for_decide_and_one_fewer_do_not() -> None:
    found = decide(estimate(differences(0.0, 0.03)), margin=0.01)
    assert found.more_seeds is not None
    enough = 6 + found.more_seeds
    for seeds, decided in ((enough, True), (enough - 1, False)):
        again = decide(found.estimate.with_seeds(seeds), margin=0.01, looks=1)
        assert (again.parity == "yes") == decided


@pytest.mark.parametrize(
    ("images", "comparisons", "parity"),
    [(10, 1, "undecided"), (298, 1, "undecided"), (299, 1, "yes"), (299, 2, "undecided"), (1000, 6, "yes")],
)
def test_few_images_that_all_agree_leave_open_what_happens_on_others(
    images: int, comparisons: int, parity: Answer
) -> None:
    """Of a share of 1% of all images, 299 hold none with a probability of .99^299 = 4.95%."""
    found = decide(estimate(np.zeros((6, images))), margin=0.01, comparisons=comparisons)
    assert found.parity == parity
    assert found.low == pytest.approx((0.05 / comparisons) ** (1 / images) - 1)
    assert (found.better, found.high) == ("undecided", -found.low)


@pytest.mark.parametrize("few", [1, 4, 30])
def test_where_seeds_agree_and_images_have_two_values_bounds_are_those_of_clopper_and_pearson(few: int) -> None:
    rows = np.zeros((6, 300))
    rows[:, :few] = -1.0
    low, high = bounds(estimate(rows), 0.05)
    assert low == pytest.approx(-beta.ppf(0.95, few + 1, 300 - few))
    level, _ = bounds(estimate(1.0 + rows), 0.05, least=0.0)
    assert level == pytest.approx(1.0 + low)
    assert high >= float(beta.ppf(0.95, 300 - few + 1, few)) - 1.0  # other images may be 1, too


def test_a_bound_is_wrong_no_more_often_than_it_says_where_few_images_differ() -> None:
    """Of 300 images a share of 2.03% is lost by every seed: Student's t alone would be wrong in 15% of cases."""
    generator, runs, wrong, by_t = np.random.default_rng(0), 1000, 0, 0
    for _ in range(runs):
        found = estimate(np.repeat(-(generator.random((1, 300)) < 0.0203).astype(float), 6, axis=0))
        wrong += bounds(found, 0.05)[0] > -0.0203
        by_t += found.lower(0.05) > -0.0203
    assert wrong / runs <= 0.05 < 0.1 < by_t / runs


def test_each_further_look_has_half_the_probability_of_error() -> None:
    found = np.random.default_rng(0).normal(0.0, 0.02, (6, 1000))
    first, third = (decide(estimate(found), margin=0.01, looks=looks) for looks in (0, 2))
    assert (first.low, first.high) == bounds(first.estimate, 0.05)
    assert (third.low, third.high) == bounds(third.estimate, 0.0125)


def test_who_adds_seeds_until_it_is_decided_errs_at_most_twice_as_often() -> None:
    """A true difference of exactly minus the margin, so that every parity is an error, and up to five looks."""
    generator, errors, runs = np.random.default_rng(1), 0, 400
    for _ in range(runs):
        rows, seeds = generator.normal(-0.01, 0.02, 40), 6
        for looks in range(5):
            mean, between = float(rows[:seeds].mean()), float(rows[:seeds].var(ddof=1))
            seen = from_squares(mean, seeds, 5000, 5000 * between, 1e-9, 1e-9)
            found = decide(seen, margin=0.01, looks=looks)
            if found.parity != "undecided" or found.more_seeds is None:
                break
            seeds = min(40, seeds + found.more_seeds)
        errors += found.parity == "yes"
    assert errors / runs <= 0.1 + 2 * (0.1 * 0.9 / runs) ** 0.5


def test_what_is_refused_decides_nothing() -> None:
    found = decide(estimate(differences(0.02, 0.005)), margin=0.01, refused="it is at chance")
    assert (found.parity, found.better, found.more_seeds) == ("undecided", "undecided", None)


def test_where_images_leave_it_open_no_seeds_are_asked_for() -> None:
    # Images alone leave a standard error of .02.
    found = decide(from_squares(0.0, 6, 100, 0.24, 0.24, 0.0001), margin=0.01)
    assert found.parity == "undecided"
    assert found.more_seeds is None


def test_sign_flips_by_hand() -> None:
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == 1 / 8
    assert sign_flip_p(np.array([-1.0, 2.0, 3.0])) == 2 / 8  # as it is, and all above 0
    assert sign_flip_p(np.array([-1.0, -2.0])) == 1.0
    assert sign_flip_p(np.linspace(0.1, 0.9, 20)) == smallest_p(20)
    assert sign_flip_p(np.zeros(5)) == 1.0
    assert smallest_p(6) == 1 / 64 == sign_flip_p(np.full(6, 0.01))
    assert sign_flip_p(np.full(25, 0.01)) == pytest.approx(1e-5, abs=1e-5)
    with pytest.raises(ValueError, match="one difference for each seed"):
        sign_flip_p(np.empty(0))


def test_a_difference_that_may_be_0_at_most_is_not_better() -> None:
    """All of 1,000 images agree, so the upper bound is the mean and what they do not tell of others: exactly 0."""
    unseen = 1 - 0.05 ** (1 / 1000)
    found = decide(Estimate(-unseen, seeds=6, images=1000, of_seeds=0.0, of_images=0.0), margin=0.01)
    assert (found.high, found.better, found.parity) == (0.0, "no", "yes")
