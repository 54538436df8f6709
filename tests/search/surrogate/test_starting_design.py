"""The starting design: what the score of a recipe would tell, before there are any."""

import math

import numpy as np
import pytest

from search.surrogate.gaussian_process import NOISE
from search.surrogate.starting_design import information


def test_before_anything_is_chosen_each_recipe_tells_as_much() -> None:
    assert information([], [{"a": 0.1}, {"a": 0.9, "b": 1.0}]) == pytest.approx([math.log1p(1 / NOISE) / 2] * 2)


def test_it_is_the_entropy_of_the_kernel_in_closed_form() -> None:
    """After one score, the variance at a distance r falls by k(r)² / (1 + noise)."""
    distance = math.sqrt(5) * math.hypot(0.5, 0.25)
    covariance = (1 + distance + distance**2 / 3) * math.exp(-distance)
    variance = 1 - covariance**2 / (1 + NOISE)
    told = information([{"a": 0.0, "b": 0.5}], [{"a": 0.5, "b": 0.25}, {"a": 0.0}])
    assert told[0] == pytest.approx(math.log1p(variance / NOISE) / 2)
    assert told[1] == pytest.approx(
        math.log1p((1 - 1 / (1 + NOISE)) / NOISE) / 2
    )  # `b`, which it has not, is in the middle


def test_recipes_that_tell_most_lie_at_the_ends_and_far_from_each_other() -> None:
    grid = [{"a": a, "b": b} for a in np.linspace(0, 1, 5) for b in np.linspace(0, 1, 5)]
    chosen = [{"a": 0.0, "b": 0.0}]
    for _ in range(3):
        chosen.append(grid[int(np.argmax(information(chosen, grid)))])
    assert {(one["a"], one["b"]) for one in chosen} == {(0, 0), (0, 1), (1, 0), (1, 1)}
