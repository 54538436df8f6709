"""Expected gains against closed forms, draws and another hypervolume, for two objectives and for more."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri

from analysis.pareto.hypervolume import hypervolume
from search.gain.expected_improvement import expected_improvement
from search.gain.undominated import Undominated
from tests.support.gains import gains_in_the_plane

REFERENCE = (0.1, 12.0)
FRONT = np.array([[0.3, 10.0], [0.5, 10.5], [0.7, 11.5], [0.4, 11.0], [0.9, 12.5], [0.05, 9.0]])  # the last 3: no use


def gains(mean: float, deviation: float, cost: float, front: NDArray[np.float64] = FRONT) -> float:
    found = gains_in_the_plane(np.array([mean]), np.array([deviation]), np.array([cost]), front, REFERENCE)
    return float(found[0])


def gained(score: float, cost: float, front: NDArray[np.float64] = FRONT) -> float:
    """By how much a point raises the hypervolume."""
    bound = np.array(REFERENCE)
    return hypervolume(np.vstack([front, [[score, cost]]]), bound) - hypervolume(front, bound)


@pytest.mark.parametrize("cost", [9.5, 10.2, 10.5, 11.3, 11.8, 12.2])
@pytest.mark.parametrize(("mean", "deviation"), [(0.2, 0.1), (0.55, 0.05), (0.75, 0.2), (0.95, 0.01)])
def test_the_expected_gain_is_the_mean_of_the_gains(mean: float, deviation: float, cost: float) -> None:
    shares = (np.arange(4000) + 0.5) / 4000

    by_drawing = np.mean([gained(score, cost) for score in mean + deviation * ndtri(shares)])
    assert gains(mean, deviation, cost) == pytest.approx(by_drawing, rel=2e-3, abs=5e-6)


def test_a_certain_point_gains_its_area() -> None:
    # It fills the slab from 0.5 to 0.6 up to the point at 11.5, and that from 0.3 to 0.5 up to the one at 10.5.
    assert gains(0.6, 1e-9, 10.2) == pytest.approx(0.1 * (11.5 - 10.2) + 0.2 * (10.5 - 10.2))
    assert gains(0.8, 1e-9, 11.5) == pytest.approx(0.1 * 0.5)
    empty = np.zeros((0, 2))
    assert gains(0.6, 1e-9, 10.0, empty) == pytest.approx(0.5 * 2)
    # Half of a normal distribution lies above its mean, by 1/√(2π) deviations on average.
    assert gains(0.1, 0.2, 11.0, empty) == pytest.approx(0.2 / math.sqrt(2 * math.pi))


@pytest.mark.parametrize(("mean", "cost"), [(0.45, 10.6), (0.7, 11.5), (0.05, 9.0), (0.95, 12.0), (0.95, 13.0)])
def test_a_certain_point_that_is_dominated_or_out_of_bounds_gains_nothing(mean: float, cost: float) -> None:
    assert gains(mean, 1e-9, cost) == pytest.approx(0.0, abs=1e-8)


def raised(front: NDArray[np.float64], point: NDArray[np.float64], corner: NDArray[np.float64]) -> float:
    """By how much a point raises the hypervolume of any number of costs, as Optuna computes it."""
    from optuna._hypervolume import compute_hypervolume

    both = np.minimum(np.vstack([front, point]), corner)  # what lies outside fills no volume
    return float(compute_hypervolume(both, corner) - compute_hypervolume(np.minimum(front, corner), corner))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
def test_boxes_hold_all_that_is_not_dominated_once_whatever_the_number_of_objectives(objectives: int) -> None:
    """Points on a sphere dominate each other nowhere; others among them are dominated, equal, or out of bounds."""
    rng = np.random.default_rng(objectives)
    sphere = np.abs(rng.normal(size=(12, objectives)))
    front = 1 - sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    points = np.vstack([front, front[:2], front[:3] + 0.1, rng.random((3, objectives)) + 0.9])
    corner = np.full(objectives, 0.95)
    left = Undominated(corner)
    left.add(rng.permutation(points))
    places = rng.random((3000, objectives)) * 1.2 - 0.2
    inside = (places < corner).all(axis=1) & ~np.any((points <= places[:, None]).all(axis=2), axis=1)
    boxes = ((left.lower <= places[:, None]) & (places[:, None] < left.upper)).all(axis=2).sum(axis=1)
    assert boxes.tolist() == inside.astype(int).tolist()
    assert 10 < inside.sum() < 2990
    nothing = np.zeros((0, objectives))
    from_nothing = sum(raised(np.vstack([nothing, points[:n]]), points[n : n + 1], corner) for n in range(len(points)))
    assert left.dominated() == pytest.approx(from_nothing)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_known_objectives_gain_what_they_add_to_the_hypervolume(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    front, candidates, corner = rng.random((10, objectives)), rng.random((40, objectives)), np.full(objectives, 0.9)
    left = Undominated(corner)
    left.add(front)
    gains = expected_improvement(candidates, np.zeros_like(candidates), left)
    assert gains == pytest.approx([raised(front, one[None], corner) for one in candidates], abs=1e-12)
    assert (gains > 0).any()
    assert (gains == 0).any()


def test_several_uncertain_objectives_gain_the_mean_of_the_gains() -> None:
    rng = np.random.default_rng(0)
    front, corner = rng.random((6, 3)), np.ones(3)
    left = Undominated(corner)
    left.add(front)
    mean, deviation = np.array([[0.4, 0.5, 0.3]]), np.array([[0.2, 0.0, 0.1]])
    drawn = mean + deviation * rng.normal(size=(4000, 3))
    by_drawing = np.mean([raised(front, one[None], corner) for one in drawn])
    assert expected_improvement(mean, deviation, left)[0] == pytest.approx(by_drawing, rel=0.05)


def test_points_can_be_added_to_a_copy_alone() -> None:
    left = Undominated(np.ones(3))
    left.add(np.full((1, 3), 0.5))
    other = left.copy()
    other.add(np.array([[0.2, 0.6, 0.2]]))
    assert left.dominated() == pytest.approx(0.125)
    assert other.dominated() == pytest.approx(0.125 + 0.8 * 0.4 * 0.8 - 0.5 * 0.4 * 0.5)


def test_of_very_many_boxes_the_largest_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    left = Undominated(np.ones(3))
    left.add(rng.random((40, 3)))
    candidates = rng.random((50, 3)) * 0.5
    whole = expected_improvement(candidates, np.zeros_like(candidates), left)
    monkeypatch.setattr("search.gain.undominated.MOST", len(left.lower) // 2)
    most = expected_improvement(candidates, np.zeros_like(candidates), left)
    assert len(left.largest()[0]) == len(left.lower) // 2
    assert (most <= whole + 1e-12).all()
    assert most.sum() > 0.9 * whole.sum()
