"""Yes, no and undecided: by the bounds, for several comparisons at once, and never by two seeds."""

import numpy as np
import pytest

from analysis.evidence.crossed import Array, estimate, from_squares
from analysis.evidence.sign_flip import sign_flip_p, smallest_p
from analysis.evidence.verdict import Answer, decide


def differences(mean: float, spread: float, seeds: int = 6) -> Array:
    """Differences whose seeds have this mean and standard deviation, alike on all images."""
    rows = np.linspace(-1, 1, seeds)
    return np.repeat((mean + spread * rows / rows.std(ddof=1))[:, None], 50, axis=1)


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
        again = decide(found.estimate.with_seeds(seeds), margin=0.01)
        assert (again.parity == "yes") == decided


def test_where_images_leave_it_open_no_seeds_are_asked_for() -> None:
    # Images alone leave a standard error of .02.
    found = decide(from_squares(0.0, 6, 100, 0.24, 0.24, 0.0001), margin=0.01)
    assert found.parity == "undecided"
    assert found.more_seeds is None


def test_sign_flips_by_hand() -> None:
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == 1 / 8
    assert sign_flip_p(np.array([-1.0, 2.0, 3.0])) == 2 / 8  # as it is, and all above 0
    assert sign_flip_p(np.array([-1.0, -2.0])) == 1.0
    assert sign_flip_p(np.zeros(5)) == 1.0
    assert smallest_p(6) == 1 / 64 == sign_flip_p(np.full(6, 0.01))
    assert sign_flip_p(np.full(25, 0.01)) == pytest.approx(1e-5, abs=1e-5)
    with pytest.raises(ValueError, match="one difference for each seed"):
        sign_flip_p(np.empty(0))
