"""What a proposal costs, in the currency of the budget."""

import numpy as np
import pytest

from search.samplers.limits import Limits

FLOPS, SECONDS = np.array([1e9, 1e10, 1e11]), np.array([3.0, 6.0, 36.0])


def test_trials_cost_one_each() -> None:
    assert Limits({"trials": 20}, {"trials": 5}).prices(FLOPS, SECONDS) == pytest.approx([0.2, 0.2, 0.2])


def test_flops_and_seconds_cost_their_share_of_what_is_left() -> None:
    flops = Limits({"trials": 1e9, "flops": 1e13}, {"trials": 1e9, "flops": 1e12})
    hours = Limits({"trials": 1e9, "hours": 7200.0}, {"trials": 1e9, "hours": 360.0})
    assert flops.prices(FLOPS, SECONDS) == pytest.approx(FLOPS / 1e12)
    assert flops.shares(FLOPS, SECONDS) == pytest.approx(FLOPS / 1e13)
    assert hours.prices(FLOPS, SECONDS) == pytest.approx(SECONDS / 360)
    assert flops.share_left == pytest.approx(0.1)
    assert hours.share_left == pytest.approx(0.05)


def test_of_several_budgets_it_is_the_one_that_would_be_used_up_first() -> None:
    both = Limits({"trials": 20, "flops": 1e12}, {"trials": 10, "flops": 5e11})
    assert both.prices(FLOPS, None) == pytest.approx([0.1, 0.1, 0.2])


def test_flops_stand_for_a_time_that_is_not_known() -> None:
    hours = Limits({"trials": 20, "hours": 3600.0}, {"trials": 20, "hours": 3600.0})
    assert hours.prices(FLOPS, None) == pytest.approx(FLOPS)
    assert hours.shares(FLOPS, None) == pytest.approx([0.05] * 3)


def test_a_budget_that_is_spent_leaves_nothing_and_breaks_nothing() -> None:
    spent = Limits({"trials": 20, "flops": 1e12}, {"trials": 3, "flops": -1e9})
    assert spent.share_left == 0.0
    assert np.isfinite(np.log10(spent.prices(FLOPS, None))).all()
