"""Halving of several objectives: properties that must hold whatever arrives, in whatever order."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.pareto.dominance import non_dominated
from search.halving.rung import Rung, spread

ETA = 3.0


def dominators(points: NDArray[np.float64], index: int) -> int:
    """How many dominate a point, by the definition."""
    return int(((points <= points[index]).all(1) & (points < points[index]).any(1)).sum())


def arrivals(seed: int, count: int, objectives: int, *, grid: int | None) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    points = generator.random((count, objectives))
    return points if grid is None else np.asarray(np.floor(points * grid))  # a coarse grid: many ties and duplicates


CASES = list(itertools.product(range(8), (2, 3), (None, 4)))


@pytest.mark.parametrize(("seed", "objectives", "grid"), CASES)
def test_who_dominates_all_goes_on_and_who_too_many_dominate_does_not(
    seed: int, objectives: int, grid: int | None
) -> None:
    points = arrivals(seed, 60, objectives, grid=grid)
    rung = Rung(ETA)
    for count in range(1, len(points) + 1):
        seen, arrival = points[:count], count - 1
        goes_on = rung.arrive(tuple(seen[arrival]))
        beats = (seen[arrival] <= seen).all(1) & (seen[arrival] < seen).any(1)
        if beats.sum() == count - 1:
            assert goes_on
        if dominators(seen, arrival) > count / ETA:
            assert not goes_on


@pytest.mark.parametrize(("seed", "objectives", "grid"), CASES)
def test_nobody_that_is_not_dominated_is_stopped_while_a_dominated_one_goes_on(
    seed: int, objectives: int, grid: int | None
) -> None:
    points = arrivals(seed, 60, objectives, grid=grid)
    rung = Rung(ETA)
    for count in range(1, len(points) + 1):
        goes_on = rung.arrive(tuple(points[count - 1]))
        if not goes_on and dominators(points[:count], count - 1) == 0:
            survivors = np.flatnonzero(rung.kept)
            assert all(dominators(points[:count], int(one)) == 0 for one in survivors)


def test_one_objective_keeps_the_best_third() -> None:
    rung = Rung(ETA)
    assert [rung.arrive((cost,)) for cost in (3.0, 4.0, 5.0, 1.0)] == [True, False, False, True]
    for order in itertools.permutations((3.0, 4.0, 5.0, 1.0)):
        rung = Rung(ETA)
        assert dict(zip(order, [rung.arrive((cost,)) for cost in order], strict=True))[1.0]


def test_what_is_not_finite_is_stopped_and_not_compared_with() -> None:
    rung = Rung(2.0)
    for bad in (math.nan, math.inf, -math.inf):
        assert not rung.arrive((bad, 1.0))
        assert not rung.arrive((0.0, bad))
        rung.note((bad, 1.0), kept=False)  # in a resumed search
        rung.note((0.0, bad), kept=True)
    assert (rung.costs, rung.kept) == ([], [])
    assert rung.arrive((1.0, 1.0))


def test_the_first_goes_on_and_its_equals_are_ranked_by_arrival() -> None:
    rung = Rung(2.0)
    assert [rung.arrive((1.0, 1.0)) for _ in range(4)] == [True, False, True, False]


def test_spread_takes_the_best_of_the_first_objective_then_the_farthest() -> None:
    points = np.array([[0.5, 0.4], [0.0, 1.0], [1.0, 0.0], [0.1, 0.9]])
    assert spread(points) == [1, 2, 0, 3]
    assert spread(points * np.array([1e12, 1e-3])) == [1, 2, 0, 3]  # whatever the units
    assert spread(np.zeros((3, 2))) == [0, 1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_non_dominated_in_the_plane_is_the_definition(seed: int) -> None:
    generator = np.random.default_rng(seed)
    points = np.floor(generator.random((50, 2)) * generator.integers(2, 60))
    points[generator.random(50) < 0.1, 0] = np.nan
    points[generator.random(50) < 0.1, 1] = np.inf
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=1))
    expected = [bool(finite[i]) and dominators(points[finite], int(finite[:i].sum())) == 0 for i in range(50)]
    assert non_dominated(points).tolist() == expected
    assert non_dominated(np.empty((0, 2))).tolist() == []


def test_what_lies_outside_the_region_comes_after_all_inside_and_is_not_kept_for_being_cheap() -> None:
    """Costs are minus robust accuracy, and compute."""
    for region, goes_on in ((None, True), ((-0.5, math.inf), False)):
        rung = Rung(ETA)
        assert rung.arrive((-0.6, 2.0), region=region)
        assert rung.arrive((-0.55, 3.0), region=region, binding=False)  # dominated, and goes on
        assert rung.arrive((-0.2, 1.0), region=region) == goes_on  # not dominated, since it is the cheapest


def test_what_lies_outside_takes_the_places_that_are_left() -> None:
    rung, region = Rung(2.0), (-0.5, 10.0)
    assert rung.arrive((-0.2, 1.0), region=region)  # of one, one goes on
    assert rung.arrive((-0.6, 2.0), region=region)  # of two one, and it is the one inside
    assert rung.arrive((-0.4, 0.5), region=region)  # of three two, and it dominates the other outside
    assert not rung.arrive((-0.3, 12.0), region=region)  # of four two


@pytest.mark.parametrize(("seed", "objectives", "grid"), CASES)
def test_nobody_inside_is_stopped_while_one_outside_fills_a_place(seed: int, objectives: int, grid: int | None) -> None:
    points = arrivals(seed, 60, objectives, grid=grid)
    region = tuple(np.quantile(points, 0.7, axis=0))
    rung = Rung(ETA)
    for count in range(1, len(points) + 1):
        goes_on = rung.arrive(tuple(points[count - 1]), region=region)
        inside: NDArray[np.bool_] = np.all(points[:count] < np.array(region), axis=1)
        if inside[-1] and inside.sum() <= math.ceil(count / ETA):
            assert goes_on
        if not inside[-1] and inside.sum() >= math.ceil(count / ETA):
            assert not goes_on
