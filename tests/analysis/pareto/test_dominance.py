"""The front of points that come one after another."""

import numpy as np
import pytest

from analysis.pareto.dominance import Front, non_dominated


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_a_front_that_grows_is_the_front_of_all_points(objectives: int) -> None:
    """Whatever the order, with equal points, points that are beaten later, and some that are not finite."""
    rng = np.random.default_rng(objectives)
    points = rng.integers(0, 6, size=(60, objectives)).astype(float)
    points[[5, 17]] = [np.nan] * objectives
    points[23, 0] = -np.inf
    front = Front(objectives)
    for number, point in enumerate(points):
        belongs = front.add(point)
        kept = non_dominated(points[: number + 1])
        assert belongs == kept[-1]
        assert front.costs.tolist() == points[: number + 1][kept].tolist()
