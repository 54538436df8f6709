"""Expected gains, and the index that weighs them against prices, against closed forms and draws."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import norm

from analysis.pareto.hypervolume import hypervolume
from search.surrogate.acquisition import Prospects, expected_hypervolume_improvement, gittins_index

REFERENCE = (0.1, 12.0)
FRONT = np.array([[0.3, 10.0], [0.5, 10.5], [0.7, 11.5], [0.4, 11.0], [0.9, 12.5], [0.05, 9.0]])  # the last 3: no use


def gains(mean: float, deviation: float, cost: float, front: NDArray[np.float64] = FRONT) -> float:
    return float(
        expected_hypervolume_improvement(np.array([mean]), np.array([deviation]), np.array([cost]), front, REFERENCE)[0]
    )


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


def index(mean: float, deviation: float, cost: float, price: float, front: NDArray[np.float64] = FRONT) -> float:
    one = np.array([mean]), np.array([deviation]), np.array([cost])
    return float(gittins_index(*one, front, REFERENCE, np.array([price]))[0])


@pytest.mark.parametrize("cost", [9.5, 10.5, 11.3])
@pytest.mark.parametrize(("mean", "deviation"), [(0.2, 0.1), (0.55, 0.05), (0.75, 0.2)])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_what_a_gain_exceeds_the_index_by_is_worth_the_price(
    mean: float, deviation: float, cost: float, share: float
) -> None:
    price = share * gains(mean, deviation, cost)
    found = index(mean, deviation, cost, price)
    places = np.linspace(-8, 8, 4001)
    excess = [max(gained(mean + deviation * place, cost) - found, 0.0) for place in places]
    assert np.trapezoid(excess * norm.pdf(places), places) == pytest.approx(price, rel=1e-3, abs=1e-9)


def test_a_certain_gain_is_worth_what_it_exceeds_its_price_by() -> None:
    assert index(0.6, 1e-9, 10.2, 0.05) == pytest.approx(0.1 * (11.5 - 10.2) + 0.2 * (10.5 - 10.2) - 0.05, abs=1e-6)


@pytest.mark.parametrize("price", [1.0, 5.0])
def test_what_is_not_worth_its_price_falls_short_by_the_difference(price: float) -> None:
    assert index(0.55, 0.05, 10.2, price) == pytest.approx(gains(0.55, 0.05, 10.2) - price)
    assert index(0.55, 0.05, 12.2, price) == -price  # it costs more than the hypervolume reaches


def test_at_the_same_price_what_is_less_certain_is_worth_more() -> None:
    """Two candidates of the same expected gain, of which one varies more: only the index tells them apart."""
    empty = np.zeros((0, 2))
    price = 0.5 * gains(0.6, 0.05, 10.0, empty)
    assert gains(0.6, 0.05, 10.0, empty) == pytest.approx(gains(0.6, 0.1, 10.0, empty), rel=1e-5)
    assert index(0.6, 0.1, 10.0, price, empty) > index(0.6, 0.05, 10.0, price, empty)


def test_the_best_per_price_is_charged_the_share_that_is_left_and_others_in_proportion() -> None:
    means, deviations, costs = np.array([0.6, 0.4]), np.array([0.05, 0.1]), np.array([10.2, 9.5])
    two = Prospects(means, deviations, costs, FRONT, REFERENCE, np.array([1.0, 0.5]))
    whole = [gains(0.6, 0.05, 10.2), gains(0.4, 0.1, 9.5)]
    assert two.gains() == pytest.approx([whole[0], whole[1] / 2])
    prices = np.array([2.0, 2.0 * whole[1] / whole[0]])  # so the first has twice the gain per price of the second
    for left, share in ((0.4, 0.4), (0.0, 0.05)):
        found = two.index(prices, left)
        assert found[0] == pytest.approx(index(0.6, 0.05, 10.2, share * whole[0]))
        assert found[1] == pytest.approx(index(0.4, 0.1, 9.5, share * whole[1] / 0.5))


def test_where_nothing_is_gained_nothing_is_worth_more() -> None:
    none = Prospects(np.array([0.0, 0.0]), np.array([1e-9] * 2), np.array([9.0, 10.0]), FRONT, REFERENCE, np.ones(2))
    assert none.index(np.array([1.0, 2.0]), 1.0) == pytest.approx([0.0, 0.0])
