"""The error of a difference over seeds and images: by hand, and it covers what it must in simulations."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import t

from analysis.evidence.crossed import Estimate, estimate, from_squares
from analysis.evidence.verdict import decide

# Standard deviations of seeds, of images and of the rest: where seeds differ much, where images do, both, and neither.
CASES = {"seeds": (0.02, 0.1, 0.3), "images": (0.001, 0.4, 0.2), "both": (0.01, 0.3, 0.3), "rest": (0.0, 0.0, 0.4)}


def test_two_seeds_and_three_images_by_hand() -> None:
    found = estimate(np.array([[1.0, 0.0, -1.0], [1.0, 1.0, 1.0]]))
    assert found.mean == pytest.approx(0.5)
    # Means of rows 0 and 1, of columns 1, 1/2 and 0. Mean squares: rows 3 × 1/2 / 1, columns 2 × 1/2 / 2, rest 1 / 2.
    assert found.of_seeds == pytest.approx(1.5 / 3)
    assert found.of_images == 0
    assert found.error == pytest.approx(math.sqrt(1.5 / 6))
    assert found.half_width(0.05) == pytest.approx(t.ppf(0.95, 1) * math.sqrt(1.5 / 6))
    images = from_squares(0.5, 2, 3, of_rows=1.5, of_columns=2.5, of_rest=0.5)
    assert images.of_images == 1
    expected = math.sqrt(t.ppf(0.95, 1) ** 2 * 1.5 / 6 + t.ppf(0.95, 2) ** 2 * (2.5 - 0.5) / 6)
    assert images.half_width(0.05) == pytest.approx(expected)


def test_without_a_difference_of_images_it_is_students_t_over_seeds() -> None:
    values = np.array([0.01, 0.03, -0.02, 0.05])[:, None] + np.zeros((4, 500))
    found, rows = estimate(values), values[:, 0]
    assert found.error == pytest.approx(rows.std(ddof=1) / 2)
    assert found.lower(0.05) == pytest.approx(rows.mean() - t.ppf(0.95, 3) * rows.std(ddof=1) / 2)


def test_one_network_on_each_side_is_the_error_of_images() -> None:
    images = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], size=2000)
    found = estimate(np.tile(images, (5, 1)))
    assert found.error == pytest.approx(images.std(ddof=1) / math.sqrt(2000))
    assert found.half_width(0.05) == pytest.approx(t.ppf(0.95, 1999) * found.error)


def test_no_difference_at_all_has_no_error() -> None:
    found = estimate(np.zeros((6, 100)))
    assert (found.mean, found.error, found.lower(), found.upper()) == (0, 0, 0, 0)


def test_it_estimates_the_variances_that_it_was_made_of() -> None:
    rng = np.random.default_rng(1)
    seeds, images = rng.normal(0, 0.2, (400, 1)), rng.normal(0, 0.5, (1, 400))
    found = estimate(seeds + images + rng.normal(0, 0.3, (400, 400)))
    assert found.of_seeds == pytest.approx(0.04 + 0.09 / 400, rel=0.2)
    assert found.of_images == pytest.approx(0.25, rel=0.2)


@pytest.mark.parametrize("shape", [(1, 10), (10, 1), (10,), (0, 0)])
def test_fewer_than_two_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least two seeds and two images"):
        estimate(np.zeros(shape))


def simulated(seeds: int, images: int, case: str, rng: np.random.Generator, runs: int) -> Iterator[Estimate]:
    """Estimates of a mean of 0, drawn as the analysis of variance has them: exact for normal effects."""
    of_seeds, of_images, of_rest = (value**2 for value in CASES[case])
    degrees = (seeds - 1, images - 1, (seeds - 1) * (images - 1))
    expected = (of_rest + images * of_seeds, of_rest + seeds * of_images, of_rest)
    squares = [value * rng.chisquare(free, runs) / free for value, free in zip(expected, degrees, strict=True)]
    error = math.sqrt(of_seeds / seeds + of_images / images + of_rest / (seeds * images))
    for mean, rows, columns, rest in zip(rng.normal(0, error, runs), *squares, strict=True):
        yield from_squares(float(mean), seeds, images, float(rows), float(columns), float(rest))


@pytest.mark.parametrize("images", [1000, 10_000])
@pytest.mark.parametrize("seeds", [3, 6, 12])
@pytest.mark.parametrize("case", CASES)
def test_a_single_interval_covers_what_it_must(case: str, seeds: int, images: int) -> None:
    """Two-sided at 95%: 93 to 97 of 100 for 6 and 12 seeds, at least 93 for 3."""
    rng = np.random.default_rng([seeds, images])
    runs = 2000
    found = simulated(seeds, images, case, rng, runs)
    covered = sum(one.lower(0.025) <= 0 <= one.upper(0.025) for one in found) / runs
    assert 0.93 <= covered <= (0.97 if seeds > 3 else 1.0)


@pytest.mark.parametrize("case", ["seeds", "images", "both"])
def test_differences_of_right_and_wrong_are_covered_too(case: str) -> None:
    """Answers are right or wrong, not normal: two recipes with the same chance on each image, 6 seeds."""
    rng = np.random.default_rng(7)
    covered, runs, images = 0, 600, 1000
    of_seeds, of_images, _ = CASES[case]
    for _ in range(runs):
        difficulty = rng.normal(0.7, 0.3, images)
        tilt = rng.normal(0, of_images, images)  # by which one recipe is better at an image than the other
        ours, theirs = (
            rng.random((6, images)) < (difficulty + side * tilt / 2 + rng.normal(0, of_seeds, (6, 1))).clip(0.02, 0.98)
            for side in (1, -1)
        )
        truth = float(
            ((difficulty[None] + tilt / 2).clip(0.02, 0.98) - (difficulty - tilt / 2).clip(0.02, 0.98)).mean()
        )
        found = estimate(ours.astype(float) - theirs.astype(float))
        fixed = truth if case == "seeds" else 0.0
        covered += found.lower(0.025) <= fixed <= found.upper(0.025)
    assert 0.93 - 0.02 <= covered / runs <= 0.99


def test_of_several_comparisons_the_whole_family_errs_seldom() -> None:
    """Eight true differences of exactly −margin: a yes to parity for any of them is an error, 5% at most."""
    rng, runs, errors = np.random.default_rng(3), 600, 0
    for families in zip(*(simulated(6, 1000, "both", rng, runs) for _ in range(8)), strict=True):
        verdicts = [decide(one, margin=0.0, comparisons=8) for one in families]
        errors += any(one.parity == "yes" for one in verdicts)
    assert errors / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    assert errors / runs >= 0.02
